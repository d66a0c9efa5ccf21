//! What an operator sets for a pool, and its limits.

use crate::time::Millis;

/// How long Auto Scaling keeps a terminating member waiting at most, whatever its hook's heartbeat is.
pub const DRAIN_LIMIT: Millis = Millis::minutes(48 * 60);

/// How many heartbeats Auto Scaling allows one lifecycle action in all.
pub const HEARTBEATS: i64 = 100;

/// The longest window that the highest need is taken of. The row keeps one entry for each of its minutes.
const LONGEST_STABILISATION: Millis = Millis::minutes(120);

/// How a pool is sized. The defaults are those of `pool/template.yaml`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The fewest members. The group's own minimum holds beside it.
    pub minimum: u32,
    /// The most members. The group's own maximum holds beside it.
    pub maximum: u32,
    /// How much of all slots jobs are to fill, in percent (1 to 100).
    pub target_utilisation: u32,
    /// Slots that are kept free at least, for jobs that come next.
    pub headroom_slots: u32,
    /// The most members that one run adds.
    pub grow_step: u32,
    /// The most members that one run retires.
    pub shrink_step: u32,
    /// In how many scrapes in a row a member must have been seen idle before it may be retired.
    pub idle_scrapes: u32,
    /// Members are retired down to the highest need of this time (2 h at most).
    pub stabilisation: Millis,
    /// How long after its launch a member that has not told anything yet counts as coming capacity.
    pub warm_up: Millis,
    /// After how many failed scrapes in a row a member is reported as unhealthy.
    pub unhealthy_after: u32,
    /// The jobs that a member runs at once, for one that has not told.
    pub slots_per_member: u32,
    /// How long the longest job may take: the hook must let a member wait for so long.
    pub longest_job: Millis,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            minimum: 0,
            maximum: 10,
            target_utilisation: 90,
            headroom_slots: 1,
            grow_step: 100,
            shrink_step: 10,
            idle_scrapes: 3,
            stabilisation: Millis::minutes(10),
            warm_up: Millis::minutes(5),
            unhealthy_after: 3,
            slots_per_member: 2,
            longest_job: Millis::minutes(190),
        }
    }
}

/// A setting that no pool can be sized with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} is {value}: {cure}")]
pub struct BadSetting {
    /// The field of [`Settings`].
    pub field: &'static str,
    /// What it was set to; times in milliseconds.
    pub value: i64,
    /// What to set instead.
    pub cure: &'static str,
}

impl Settings {
    /// The settings, if a pool can be sized with them.
    ///
    /// # Errors
    /// The first setting that is out of its limits.
    pub fn checked(self) -> Result<Self, BadSetting> {
        let within = |field, value: i64, least: i64, most: i64, cure| {
            if (least..=most).contains(&value) { Ok(()) } else { Err(BadSetting { field, value, cure }) }
        };
        let most = i64::from(u32::MAX);
        within("maximum", self.maximum.into(), 1, most, "a pool needs a maximum of at least 1")?;
        within("minimum", self.minimum.into(), 0, self.maximum.into(), "it must not be above maximum")?;
        within("target_utilisation", self.target_utilisation.into(), 1, 100, "it is a percentage from 1 to 100")?;
        within("grow_step", self.grow_step.into(), 1, most, "a pool that may not grow by 1 is never sized")?;
        within("shrink_step", self.shrink_step.into(), 1, most, "a pool that may not shrink by 1 is never sized")?;
        within("idle_scrapes", self.idle_scrapes.into(), 2, 1000, "one scrape shows no idle time: use 2 to 1000")?;
        within("stabilisation", self.stabilisation.0, 0, LONGEST_STABILISATION.0, "use 0 to 120 minutes")?;
        within("warm_up", self.warm_up.0, 1, Millis::days(1).0, "use more than nothing and at most a day")?;
        within("unhealthy_after", self.unhealthy_after.into(), 1, most, "use at least 1")?;
        within("slots_per_member", self.slots_per_member.into(), 1, 100_000, "use 1 to 100000, as `concurrent` says")?;
        within(
            "longest_job",
            self.longest_job.0,
            1,
            DRAIN_LIMIT.0,
            "Auto Scaling lets no member wait for more than 48 h",
        )?;
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_settings_that_a_pool_can_be_sized_with() {
        assert_eq!(Settings::default().checked(), Ok(Settings::default()));
    }

    #[test]
    fn what_no_pool_can_be_sized_with_is_named_with_its_cure() {
        type Change = fn(&mut Settings);
        let wrong: [(&str, Change); 13] = [
            ("maximum", |settings| settings.maximum = 0),
            ("minimum", |settings| settings.minimum = 11),
            ("target_utilisation", |settings| settings.target_utilisation = 0),
            ("target_utilisation", |settings| settings.target_utilisation = 101),
            ("grow_step", |settings| settings.grow_step = 0),
            ("shrink_step", |settings| settings.shrink_step = 0),
            ("idle_scrapes", |settings| settings.idle_scrapes = 1),
            ("stabilisation", |settings| settings.stabilisation = Millis::minutes(121)),
            ("stabilisation", |settings| settings.stabilisation = Millis(-1)),
            ("warm_up", |settings| settings.warm_up = Millis(0)),
            ("unhealthy_after", |settings| settings.unhealthy_after = 0),
            ("slots_per_member", |settings| settings.slots_per_member = 0),
            ("longest_job", |settings| settings.longest_job = Millis::minutes(48 * 60 + 1)),
        ];
        for (field, change) in wrong {
            let mut settings = Settings::default();
            change(&mut settings);
            let error = settings.checked().unwrap_err();
            assert_eq!(error.field, field);
            assert!(!error.cure.is_empty());
        }
    }
}
