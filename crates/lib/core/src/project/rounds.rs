//! What the sweep remembers of its listing: how many projects there are, and what a visit costs.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Bound, Census};
use crate::change::{Change, Row, put};
use crate::limits;
use crate::time::Timestamp;

/// The ledger's primary key of the one row.
pub const ROUNDS_PK: &str = "rounds";

/// The listing as a whole (`rounds`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rounds {
    /// The revision, see [`crate::change`].
    pub rev: u64,
    /// The known projects, as last counted.
    pub census: Census,
    /// When they were counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counted_at: Option<Timestamp>,
    /// What a visit costs, in hundredths of a call; a moving average over runs.
    pub per_visit: u32,
    /// How many calls a run makes: what it may, or what its time allowed.
    pub calls: u32,
    /// The bound of each class, in milliseconds.
    pub bound: Bound,
    /// Attributes of a newer release: kept as they are.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Default for Rounds {
    fn default() -> Self {
        Self {
            rev: 0,
            census: Census::default(),
            counted_at: None,
            per_visit: 100,
            calls: 0,
            bound: Bound::default(),
            extra: Map::new(),
        }
    }
}

impl Row for Rounds {
    fn pk(&self) -> String {
        ROUNDS_PK.to_owned()
    }
    fn rev(&self) -> u64 {
        self.rev
    }
    fn set_rev(&mut self, rev: u64) {
        self.rev = rev;
    }
}

impl Rounds {
    /// Whether the projects are to be counted again: that reads each of their rows.
    #[must_use]
    pub fn is_stale(&self, now: Timestamp) -> bool {
        self.counted_at.is_none_or(|at| now >= at + limits::CENSUS_EVERY)
    }

    /// The projects were counted.
    pub const fn counted(&mut self, census: Census, now: Timestamp) {
        self.census = census;
        self.counted_at = Some(now);
    }

    /// A run made so many whole visits with so many calls: an eighth of the average is this run's.
    pub fn learned(&mut self, visits: u32, calls: u32) {
        if visits == 0 {
            return;
        }
        let this = u64::from(calls) * 100 / u64::from(visits);
        let mixed = (u64::from(self.per_visit) * 7 + this).div_ceil(8);
        self.per_visit = u32::try_from(mixed.max(100)).unwrap_or(u32::MAX);
    }

    /// A run that may make `budget` calls made `calls`, and its time was over before they were. Where GitLab is slow, time
    /// is the tighter limit: the bound counts with what was reached, and with twice as much after each run that had time.
    pub fn reached(&mut self, calls: u32, budget: u32, out_of_time: bool) {
        let reached = match (out_of_time, self.calls) {
            (true, _) => calls,
            (false, 0) => budget,
            (false, before) => before.saturating_mul(2),
        };
        self.calls = reached.max(limits::LISTING_CALLS_MIN).min(budget);
    }

    /// The write; `None` when nothing changed.
    #[must_use]
    pub fn change(self, before: Option<&Self>) -> Option<Change> {
        put(before, self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::moves::testing::T0;
    use crate::time::Millis;

    #[test]
    fn what_a_visit_costs_is_learned_slowly_and_is_never_less_than_a_call() {
        let mut rounds = Rounds::default();
        rounds.learned(0, 9);
        assert_eq!(rounds.per_visit, 100);
        rounds.learned(10, 90);
        assert_eq!(rounds.per_visit, 200);
        for _ in 0..50 {
            rounds.learned(10, 1);
        }
        assert_eq!(rounds.per_visit, 100);
    }

    #[test]
    fn a_slow_gitlab_lowers_what_a_run_reaches_until_it_is_quick_again() {
        let mut rounds = Rounds::default();
        let mut after = |calls, out_of_time| {
            rounds.reached(calls, 60, out_of_time);
            rounds.calls
        };
        assert_eq!([after(7, false), after(9, true), after(3, false), after(1, false)], [60, 9, 18, 36]);
        assert_eq!([after(1, false), after(0, true)], [60, 4], "what is slower than that shows in the real waits");
    }

    #[test]
    fn projects_are_counted_again_after_a_while() {
        let mut rounds = Rounds::default();
        assert!(rounds.is_stale(T0));
        rounds.counted(Census::default(), T0);
        assert!(!rounds.is_stale(T0 + limits::CENSUS_EVERY - Millis(1)) && rounds.is_stale(T0 + limits::CENSUS_EVERY));
    }
}
