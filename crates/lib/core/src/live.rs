//! How many launches are live, and the caps on them.
//!
//! The counts are kept beside the launch rows, by one addition after each plan that starts or ends a launch, because
//! counting rows has no place on the way of a job. They are soft: a process that dies between the plan and the addition
//! leaves them off by one until the sweep, which sees every live launch, counts again. A cap may therefore be passed by
//! as many launches as are being charged at the same moment; it holds a runaway back, it is no licence count.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::change::{Expect, Plan, Write};
use crate::drain::Draining;
use crate::id::LaneId;

/// The ledger's primary key of the counts: one row, an attribute per lane and `stack` for the sum.
pub const LIVE_PK: &str = "live";

/// The attribute of the sum.
pub const STACK: &str = "stack";

/// Live launches as counted, and whether there may be more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Live {
    /// Of the lane.
    pub lane: u64,
    /// Of the stack.
    pub stack: u64,
    /// The stack drains: there may be none.
    pub draining: Option<Draining>,
}

/// The most live launches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caps {
    /// Of one lane.
    pub lane: u64,
    /// Of the stack.
    pub stack: u64,
}

impl Caps {
    /// Why there may be no launch more: it would pass a cap, or the stack drains.
    #[must_use]
    pub fn exceeded(&self, live: Live, lane: &LaneId) -> Option<String> {
        if live.draining.is_some() {
            return Some("the stack is being removed and launches nothing more".to_owned());
        }
        if live.lane >= self.lane {
            return Some(format!("lane {lane} has {} live launches, its cap is {}", live.lane, self.lane));
        }
        (live.stack >= self.stack)
            .then(|| format!("the stack has {} live launches, its cap is {}", live.stack, self.stack))
    }
}

/// What a plan adds to the counts: one for each launch that it creates, minus one for each that it ends.
#[must_use]
pub fn counts(plan: &Plan) -> BTreeMap<String, i64> {
    let mut counts = BTreeMap::new();
    for change in plan.changes.iter().filter(|change| change.pk.starts_with("launch#")) {
        let Write::Put(item) = &change.write else { continue };
        let is = |name: &str, value: &str| item.get(name).and_then(Value::as_str) == Some(value);
        let delta = match (change.expect, is("state", "closed")) {
            (Expect::Absent, false) => 1,
            (Expect::Rev(_), true) => -1,
            _ => continue,
        };
        let lane = item.get("lane").and_then(Value::as_str).unwrap_or_default();
        for name in [lane, STACK] {
            *counts.entry(name.to_owned()).or_insert(0) += delta;
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::moves::testing::{T0, charged_pair, lane, pending_job, polling, start};
    use crate::moves::{End, begin, charge, conclude};

    #[test]
    fn a_charge_adds_one_an_end_takes_it_away_and_the_moves_between_count_nothing() {
        let lane_id = lane().id();
        let charged = charge(&pending_job(1), &lane(), start("l-1"), "", T0).unwrap();
        assert_eq!(counts(&charged), BTreeMap::from([(lane_id.to_string(), 1), (STACK.to_owned(), 1)]));
        let (job, launch) = charged_pair(1, "l-1");
        assert_eq!(counts(&begin(&launch, "hash", "c", T0).unwrap()), BTreeMap::new());
        let ended = conclude(&polling(&launch), Some(&job), &End::Fruitless("x".into()), T0).unwrap();
        assert_eq!(counts(&ended), BTreeMap::from([(lane_id.to_string(), -1), (STACK.to_owned(), -1)]));
    }

    #[test]
    fn a_cap_is_reached_not_passed() {
        let caps = Caps { lane: 2, stack: 5 };
        let lane = lane().id();
        let live = |lane, stack| Live { lane, stack, draining: None };
        assert_eq!(caps.exceeded(live(1, 4), &lane), None);
        assert!(caps.exceeded(live(2, 4), &lane).unwrap().contains("lane"));
        assert!(caps.exceeded(live(1, 5), &lane).unwrap().contains("stack"));
    }

    #[test]
    fn a_stack_that_drains_takes_no_launch_however_few_there_are() {
        let caps = Caps { lane: 2, stack: 5 };
        let live = Live { draining: Some(Draining::Wait), ..Live::default() };
        assert!(caps.exceeded(live, &lane().id()).unwrap().contains("being removed"));
    }
}
