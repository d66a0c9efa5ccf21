//! How long a job may wait whose hook was lost: until its project is listed, at the calls that a run may make.

use serde::{Deserialize, Serialize};

use super::ProjectRow;
use crate::limits;
use crate::time::{Millis, Timestamp};

/// How lively a project is: how often it is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// A hook or a pending job was seen lately.
    Active,
    /// Not lately.
    Quiet,
    /// Not for days, or never.
    Idle,
}

impl Class {
    /// All, the liveliest first.
    pub const ALL: [Self; 3] = [Self::Active, Self::Quiet, Self::Idle];

    /// From the begin of a visit to the next one.
    #[must_use]
    pub const fn interval(self) -> Millis {
        match self {
            Self::Active => limits::VISIT_ACTIVE,
            Self::Quiet => limits::VISIT_QUIET,
            Self::Idle => limits::VISIT_IDLE,
        }
    }

    /// The bound that the promise states.
    #[must_use]
    pub const fn stated(self) -> Millis {
        Millis(self.interval().0 + limits::LISTING_SLACK.0)
    }
}

/// How many projects of each class are known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Census {
    /// See [`Class::Active`].
    pub active: u64,
    /// See [`Class::Quiet`].
    pub quiet: u64,
    /// See [`Class::Idle`].
    pub idle: u64,
}

impl Census {
    /// Counts a project.
    pub const fn add(&mut self, class: Class) {
        let count = match class {
            Class::Active => &mut self.active,
            Class::Quiet => &mut self.quiet,
            Class::Idle => &mut self.idle,
        };
        *count += 1;
    }

    /// All projects.
    #[must_use]
    pub const fn all(&self) -> u64 {
        self.active + self.quiet + self.idle
    }

    const fn of(&self, class: Class) -> u64 {
        match class {
            Class::Active => self.active,
            Class::Quiet => self.quiet,
            Class::Idle => self.idle,
        }
    }
}

/// The bound of each class; `None` where there is no project.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bound {
    /// See [`Class::Active`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<Millis>,
    /// See [`Class::Quiet`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quiet: Option<Millis>,
    /// See [`Class::Idle`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle: Option<Millis>,
}

impl Bound {
    /// The bound of a class.
    #[must_use]
    pub const fn of(&self, class: Class) -> Option<Millis> {
        match class {
            Class::Active => self.active,
            Class::Quiet => self.quiet,
            Class::Idle => self.idle,
        }
    }

    /// The longest of all.
    #[must_use]
    pub fn longest(&self) -> Option<Millis> {
        Class::ALL.into_iter().filter_map(|class| self.of(class)).max()
    }

    /// The classes whose bound is longer than the promise states.
    pub fn over(&self) -> impl Iterator<Item = (Class, Millis)> + '_ {
        Class::ALL.into_iter().filter_map(|class| self.of(class).map(|bound| (class, bound))).filter(is_over)
    }
}

const fn is_over(of: &(Class, Millis)) -> bool {
    of.1.0 > of.0.stated().0
}

/// The share of a run's calls that belongs to projects that are not active, while some are due: else a crowd of active ones
/// would keep them from ever being listed.
const OTHERS: u64 = 4;

/// How long each known project may wait for its listing: its interval, and the runs in which those of its kind that were
/// due before it take their turns. `calls` is what a run may make, `per_visit` what a visit costs, in hundredths of a call.
/// `None` for a class that no run would ever list.
///
/// # Errors
/// A budget that is too small to be shared: nothing is bounded.
pub fn bound(census: Census, calls: u32, per_visit: u32) -> Result<Bound, NoBound> {
    if calls < limits::LISTING_CALLS_MIN {
        return Err(NoBound { calls });
    }
    let others = u64::from(calls) / OTHERS;
    let active = u64::from(calls) - others;
    let per_visit = u64::from(per_visit.max(100));
    let wait = |projects: u64, share: u64| {
        let runs = projects.saturating_mul(per_visit).div_ceil(share * 100);
        Millis(limits::SWEEP_EVERY.0.saturating_mul(i64::try_from(runs).unwrap_or(i64::MAX)))
    };
    let of = |class: Class, projects: u64, share: u64| {
        let wait = wait(projects, share);
        (census.of(class) > 0).then(|| Millis(class.interval().0.saturating_add(wait.0)))
    };
    Ok(Bound {
        active: of(Class::Active, census.active, active),
        quiet: of(Class::Quiet, census.quiet + census.idle, others),
        idle: of(Class::Idle, census.quiet + census.idle, others),
    })
}

/// A budget of calls that cannot be shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{calls} calls a run are too few to list projects: at least {} are needed", limits::LISTING_CALLS_MIN)]
pub struct NoBound {
    /// The budget.
    pub calls: u32,
}

/// The order in which due projects are visited: three active ones, then one of the others, each kind in the order of its
/// times. [`bound`] rests on it.
#[must_use]
pub fn in_order(mut rows: Vec<ProjectRow>, now: Timestamp) -> Vec<ProjectRow> {
    rows.sort_by_key(|row| (row.due.next_check_at, row.project_id));
    let (active, others): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.class(now) == Class::Active);
    let (mut active, mut others) = (active.into_iter(), others.into_iter());
    let mut ordered = Vec::new();
    loop {
        let before = ordered.len();
        ordered.extend(active.by_ref().take(3));
        ordered.extend(others.by_ref().take(1));
        if ordered.len() == before {
            return ordered;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::moves::testing::{T0, secs};
    use crate::project::testing::seen_at;

    const fn census(active: u64, quiet: u64, idle: u64) -> Census {
        Census { active, quiet, idle }
    }

    #[test]
    fn few_projects_are_listed_within_the_stated_time() {
        let bound = bound(census(20, 50, 10), 60, 100).unwrap();
        assert_eq!(bound.active, Some(Millis::minutes(3)));
        assert_eq!(bound.quiet, Some(Millis::minutes(14)));
        assert_eq!(bound.longest(), Some(Millis::minutes(34)));
        assert_eq!(bound.over().count(), 0);
    }

    #[test]
    fn the_bound_grows_with_projects_and_with_what_a_visit_costs() {
        let of = |projects, per_visit| bound(census(projects, 0, 0), 60, per_visit).unwrap().active.unwrap();
        assert_eq!(of(45, 100), Millis::minutes(3));
        assert_eq!(of(46, 100), Millis::minutes(4));
        assert_eq!(of(45, 200), Millis::minutes(4));
        let over = bound(census(1000, 0, 0), 60, 100).unwrap();
        assert_eq!(over.over().collect::<Vec<_>>(), [(Class::Active, Millis::minutes(25))]);
    }

    #[test]
    fn a_budget_that_cannot_be_shared_bounds_nothing() {
        assert_eq!(bound(census(1, 0, 0), 3, 100).unwrap_err().calls, 3);
        assert!(bound(census(1, 1, 1), 4, 100).is_ok());
        assert_eq!(bound(Census::default(), 4, 100).unwrap().longest(), None);
    }

    /// Plays the runs of an hour and compares the longest wait of any project with the bound.
    #[test]
    fn no_project_ever_waits_longer_than_its_bound() {
        for (active, others, calls) in [(100_u64, 7_u64, 8_u32), (3, 50, 4), (1, 1, 4), (200, 0, 40)] {
            let row = |id: u64, class: Class| {
                let mut row = seen_at(T0);
                row.project_id = id;
                // Kept lively, or never heard of.
                row.open_seen = (class == Class::Active).then_some(secs(100_000));
                row.hook_seen = None;
                row.due_at(T0);
                row
            };
            let mut rows: Vec<ProjectRow> = (0..active).map(|id| row(id, Class::Active)).collect();
            rows.extend((0..others).map(|id| row(active + id, Class::Idle)));
            let bound = bound(census(active, 0, others), calls, 100).unwrap();
            let mut visited: Vec<Timestamp> = rows.iter().map(|_| T0).collect();
            for run in 0..180 {
                let now = T0 + Millis::minutes(run);
                let due = rows.iter().filter(|row| row.due.next_check_at <= Some(now)).cloned().collect();
                for row in in_order(due, now).into_iter().take(calls as usize) {
                    let at = usize::try_from(row.project_id).unwrap();
                    let class = row.class(now);
                    let waited = now - visited[at];
                    assert!(waited <= bound.of(class).unwrap(), "{class:?} waited {waited} of {bound:?}");
                    visited[at] = now;
                    rows[at].due_at(now + class.interval());
                }
            }
            let end = T0 + Millis::minutes(180);
            for (row, at) in rows.iter().zip(&visited) {
                assert!(end - *at <= bound.of(row.class(end)).unwrap(), "project {} starved", row.project_id);
            }
        }
    }

    #[test]
    fn active_projects_come_first_and_leave_one_place_in_four() {
        let mut rows = Vec::new();
        for id in 0..8 {
            let mut row = seen_at(if id < 5 { T0 } else { T0 - Millis::days(5) });
            row.project_id = id;
            row.due_at(secs(10 - i64::try_from(id).unwrap()));
            rows.push(row);
        }
        let order: Vec<u64> = in_order(rows, secs(10)).iter().map(|row| row.project_id).collect();
        assert_eq!(order, [4, 3, 2, 7, 1, 0, 6, 5]);
    }
}
