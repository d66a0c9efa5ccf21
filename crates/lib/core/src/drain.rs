//! Draining: the operator removes the stack, so nothing is launched any more (`drain`).
//!
//! Router and sweep read the row together with the counts of live launches, which they need for each launch: see
//! [`crate::live`]. A hook that comes meanwhile is recorded as always, and its job waits.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::change::{Item, Plan, Row, decode, put};
use crate::time::{Millis, Timestamp};

/// The ledger's primary key of the row.
pub const DRAIN_PK: &str = "drain";

/// After this, whoever had read the counts before the row was written has done what he did with them: the sweep, whose
/// function ends after 55 s, and the router, whose ends after 20.
pub const DRAIN_SETTLES: Millis = Millis::secs(60);

/// What becomes of launches that have a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Draining {
    /// They are waited for.
    Wait,
    /// They are written off: GitLab is told that their jobs failed.
    Now,
}

/// The row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DrainRow {
    /// The revision, see [`crate::change`].
    pub rev: u64,
    /// How the stack drains; `None` for one that launches again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub draining: Option<Draining>,
    /// Since when it is so, whatever becomes of launches.
    pub since: Timestamp,
    /// Attributes of a newer release: kept as they are.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Row for DrainRow {
    fn pk(&self) -> String {
        DRAIN_PK.to_owned()
    }
    fn rev(&self) -> u64 {
        self.rev
    }
    fn set_rev(&mut self, rev: u64) {
        self.rev = rev;
    }
}

/// Has the stack drain like this, or launch again.
#[must_use]
pub fn drain(row: Option<&DrainRow>, draining: Option<Draining>, now: Timestamp) -> Plan {
    let since = row.filter(|row| row.draining.is_some() == draining.is_some()).map_or(now, |row| row.since);
    let extra = row.map(|row| row.extra.clone()).unwrap_or_default();
    let after = DrainRow { rev: row.map_or(0, Row::rev), draining, since, extra };
    let why = if draining.is_some() { "the stack is to be removed" } else { "the stack is not removed" };
    Plan::because(why).with_some(put(row, after))
}

/// Whether the stack drains, by the row as it was read. One that cannot be read is of a newer release: that nothing is
/// launched is what every such row means until it says otherwise.
#[must_use]
pub fn draining_of(item: Option<&Item>) -> Option<Draining> {
    let item = item?;
    match decode::<DrainRow>(item) {
        Ok(row) => row.draining,
        Err(_) => Some(Draining::Wait),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::change::Write;
    use crate::moves::testing::{T0, secs};

    fn written(plan: &Plan) -> Item {
        let [change] = &plan.changes[..] else { panic!("one write: {plan:?}") };
        let Write::Put(item) = &change.write else { panic!("a write") };
        item.clone()
    }

    #[test]
    fn it_drains_since_it_began_whatever_becomes_of_jobs_and_may_launch_again() {
        let waits = written(&drain(None, Some(Draining::Wait), T0));
        assert_eq!((draining_of(Some(&waits)), draining_of(None)), (Some(Draining::Wait), None));
        let row: DrainRow = decode(&waits).unwrap();
        assert!(drain(Some(&row), Some(Draining::Wait), secs(9)).changes.is_empty(), "it is so already");
        let now: DrainRow = decode(&written(&drain(Some(&row), Some(Draining::Now), secs(9)))).unwrap();
        assert_eq!((now.draining, now.since, now.rev), (Some(Draining::Now), T0, 2));
        let over = written(&drain(Some(&now), None, secs(20)));
        assert_eq!(draining_of(Some(&over)), None);
        let again: DrainRow = decode(&over).unwrap();
        let again: DrainRow = decode(&written(&drain(Some(&again), Some(Draining::Wait), secs(30)))).unwrap();
        assert_eq!(again.since, secs(30));
    }

    #[test]
    fn what_cannot_be_read_launches_nothing() {
        for row in [json!({"pk": DRAIN_PK}), json!({"pk": DRAIN_PK, "rev": 1, "since": 5, "draining": "tomorrow"})] {
            let Value::Object(item) = row else { panic!("an object") };
            assert_eq!(draining_of(Some(&item)), Some(Draining::Wait));
        }
    }
}
