//! What goes wrong around the scaler.

use std::collections::BTreeMap;

use runnerless_core::pool::Scrape;
use runnerless_core::time::{Millis, Timestamp};

use super::world::World;

/// Troubles that last.
#[derive(Clone, Debug, Default)]
pub(crate) struct Troubles {
    /// Members that do not answer until then.
    silent: BTreeMap<String, Timestamp>,
    /// Until when the way to all members is closed, and to those that come meanwhile.
    closed: Option<Timestamp>,
    /// Members whose clock is off by so much.
    skewed: BTreeMap<String, Millis>,
    /// Until when nothing is launched.
    launching_suspended: Option<Timestamp>,
    /// Until when GitLab does not tell how many jobs wait.
    gitlab_silent: Option<Timestamp>,
}

impl World {
    /// One draw: whether something with this chance of a thousand happens; counted if it does.
    pub(crate) fn strikes(&mut self, name: &'static str, of_a_thousand: u32) -> bool {
        let strikes = self.troubled && self.rng.u32(..1000) < of_a_thousand;
        if strikes {
            self.hits.hit(name);
        }
        strikes
    }

    fn any_member(&mut self) -> Option<usize> {
        let count = self.pool.members.len();
        (count > 0).then(|| self.rng.usize(..count))
    }

    /// What happens within a minute, by hand and by AWS.
    pub(crate) fn minute_of_trouble(&mut self) {
        self.by_hand();
        self.by_aws();
        let now = self.pool.now();
        if self.strikes("all unreachable", 5) {
            self.troubles.closed = Some(now + Millis::minutes(self.rng.i64(5..=40)));
        }
        if self.strikes("half unreachable", 30) {
            let until = now + Millis::minutes(self.rng.i64(1..=9));
            let ids: Vec<String> = self.pool.members.iter().map(|member| member.id.clone()).collect();
            for id in ids.into_iter().step_by(2) {
                self.troubles.silent.insert(id, until);
            }
        }
        if let Some(at) = self.any_member().filter(|_| self.rng.bool()) {
            let id = self.pool.members[at].id.clone();
            if self.strikes("clock off", 40) {
                self.troubles.skewed.insert(id, Millis::secs(self.rng.i64(-300..300)));
            }
        }
        if let Some(at) = self.any_member().filter(|at| self.pool.members[*at].running.is_empty())
            && self.strikes("counter reset", 60)
        {
            self.pool.members[at].taken = 0;
        }
        if self.strikes("GitLab silent", 30) {
            self.troubles.gitlab_silent = Some(now + Millis::minutes(self.rng.i64(1..=12)));
        }
    }

    fn by_hand(&mut self) {
        let (minimum, maximum) = (self.pool.shape.minimum, self.pool.shape.maximum);
        if self.strikes("desired capacity by hand", 25) {
            let desired = self.rng.u32(minimum..=maximum);
            self.pool.set_desired(desired).expect("it is within the limits");
        }
        if self.strikes("limits by hand", 15) {
            let minimum = self.rng.u32(0..=2);
            self.pool.shape.minimum = minimum;
            self.pool.shape.maximum = self.rng.u32(minimum.max(2)..=14);
            // Auto Scaling moves desired capacity between the new limits.
            let desired = self.pool.desired.clamp(minimum, self.pool.shape.maximum);
            self.pool.set_desired(desired).expect("it is within the limits");
        }
        if let Some(at) = self.any_member()
            && self.strikes("protection lost by hand", 20)
        {
            self.pool.members[at].protected = false;
        }
        if self.strikes("rebalancing resumed by hand", 10) {
            self.pool.suspended.retain(|process| process != "AZRebalance");
        }
        if self.strikes("launching suspended", 8) {
            self.pool.suspended.push("Launch".to_owned());
            self.troubles.launching_suspended = Some(self.pool.now() + Millis::minutes(self.rng.i64(1..=20)));
        }
        if self.troubles.launching_suspended.is_some_and(|until| until <= self.pool.now()) {
            self.pool.suspended.retain(|process| process != "Launch");
        }
    }

    fn by_aws(&mut self) {
        if let Some(at) = self.any_member()
            && self.strikes("instance refresh", 10)
        {
            self.pool.end(at);
        }
        if let Some(at) = self.any_member()
            && self.strikes("hardware lost", 10)
        {
            self.lost_jobs += self.pool.members[at].running.len();
            self.pool.lose(at);
        }
    }

    /// Everything that lasts is over.
    pub(crate) fn calm(&mut self) {
        self.troubled = false;
        self.troubles = Troubles::default();
        self.pool.suspended.retain(|process| process != "Launch");
        self.pool.shape.stillborn = 0;
    }

    /// What the members tell, as far as it arrives.
    pub(crate) fn scrape(&mut self) -> BTreeMap<String, Scrape> {
        let now = self.pool.now();
        let fresh = self.pool.scrape();
        let old = std::mem::replace(&mut self.last_scrape, fresh.clone());
        let mut scrapes = BTreeMap::new();
        for (id, scrape) in fresh {
            let until = self.troubles.silent.get(&id).copied().max(self.troubles.closed);
            let silent = until.is_some_and(|until| now < until);
            if silent || self.strikes("scrape timed out", 30) {
                scrapes.insert(id, Scrape::Failed("it did not answer in time".to_owned()));
                continue;
            }
            if self.strikes("not asked", 5) {
                continue;
            }
            // A cache in between, or a member whose metrics hang.
            let stale = self.strikes("metrics of the past", 20);
            let mut scrape = if stale { old.get(&id).cloned().unwrap_or(scrape) } else { scrape };
            if let Scrape::Good(reading) = &mut scrape {
                if let Some(skew) = self.troubles.skewed.get(&id) {
                    reading.taken_at = reading.taken_at + *skew;
                }
                if self.strikes("metrics of the future", 20) {
                    reading.taken_at = now + Millis::secs(self.rng.i64(61..9_000));
                }
            }
            scrapes.insert(id, scrape);
        }
        scrapes
    }

    /// Whether GitLab tells how many jobs wait.
    pub(crate) fn gitlab_tells(&self) -> bool {
        self.has_token && self.troubles.gitlab_silent.is_none_or(|until| until <= self.pool.now())
    }
}
