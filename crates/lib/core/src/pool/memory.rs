//! What a run of the scaler leaves for the next (`pool#<group>`).
//!
//! A run stores its memory before it acts, on condition that the row is still the one that it read. Of two runs at once one
//! loses here, and leaves without acting.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::change::{Plan, Row, put};
use crate::limits;
use crate::time::Timestamp;

/// The primary key of a group's row.
#[must_use]
pub fn pool_pk(group: &str) -> String {
    format!("pool#{group}")
}

/// The row of one group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PoolRow {
    /// The revision, see [`crate::change`].
    pub rev: u64,
    /// The group's name.
    pub group: String,
    /// The run that wrote it. Two runs that saw the same write different rows, so that one whose answer was lost is never taken
    /// for the other.
    pub run: String,
    /// What was remembered.
    pub memory: Memory,
    /// When DynamoDB may delete the row (s since the epoch): a pool that is gone is not sized any more.
    pub expires_at: i64,
    /// Attributes of a newer release: kept as they are.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Row for PoolRow {
    fn pk(&self) -> String {
        pool_pk(&self.group)
    }
    fn rev(&self) -> u64 {
        self.rev
    }
    fn set_rev(&mut self, rev: u64) {
        self.rev = rev;
    }
}

/// Stores what the run of this name, at `now`, remembers, over the row that it read. To be applied before the run acts.
#[must_use]
pub fn remember(row: Option<&PoolRow>, group: &str, run: &str, memory: Memory, now: Timestamp) -> Plan {
    let expires_at = (now + limits::KEEP_CLOSED_ROWS).epoch_secs();
    let extra = row.map(|row| row.extra.clone()).unwrap_or_default();
    let rev = row.map_or(0, Row::rev);
    let after = PoolRow { rev, group: group.to_owned(), run: run.to_owned(), memory, expires_at, extra };
    Plan::because("what this run saw").with_some(put(row, after))
}

/// What the runs before saw. The default is that of a group that was never looked at.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    /// When the last run was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_run_at: Option<Timestamp>,
    /// Since when runs have followed each other without a long gap: what was needed before is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watched_since: Option<Timestamp>,
    /// When a run last wanted more members.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grown_at: Option<Timestamp>,
    /// The desired capacity that the last run left, if all that it wanted was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_desired: Option<u32>,
    /// Since when the group has fewer members than it is to have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub short_since: Option<Timestamp>,
    /// What was needed lately, the oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<Need>,
    /// What is known of each member of the group, by its id.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub members: BTreeMap<String, MemberMemory>,
}

/// What was needed in one minute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Need {
    /// When the minute's last run was.
    pub at: Timestamp,
    /// The most slots that a run wanted.
    pub slots: u32,
    /// The fewest jobs that a run saw waiting; `None` if nobody knew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<u32>,
}

/// What is remembered of a member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberMemory {
    /// When a run first saw it.
    pub first_seen: Timestamp,
    /// In how many good scrapes in a row it was idle.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub idle: u32,
    /// How many scrapes in a row failed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub failed: u32,
    /// When its last good reading was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_at: Option<Timestamp>,
    /// The jobs that it had taken by then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jobs_total: Option<u64>,
    /// When it was named for leaving.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retired_at: Option<Timestamp>,
}

impl MemberMemory {
    /// Of a member that is first seen at `now`.
    #[must_use]
    pub const fn new(now: Timestamp) -> Self {
        Self { first_seen: now, idle: 0, failed: 0, taken_at: None, jobs_total: None, retired_at: None }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
const fn is_zero(number: &u32) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::change::{Expect, Item, Write, decode};
    use crate::moves::testing::{T0, secs};

    fn written(plan: &Plan) -> (Expect, Item) {
        let [change] = &plan.changes[..] else { panic!("one write: {plan:?}") };
        let Write::Put(item) = &change.write else { panic!("a write") };
        (change.expect, item.clone())
    }

    #[test]
    fn each_run_writes_over_the_row_that_it_read_and_no_other() {
        let memory = |at| Memory { last_run_at: Some(at), ..Memory::default() };
        let (expect, item) = written(&remember(None, "builds", "r-1", memory(T0), T0));
        assert_eq!((expect, item["pk"].as_str(), &item["schema"]), (Expect::Absent, Some("pool#builds"), &json!(1)));
        assert_eq!(item["expires_at"], json!((T0 + limits::KEEP_CLOSED_ROWS).epoch_secs()));
        let row: PoolRow = decode(&item).unwrap();
        let (expect, _) = written(&remember(Some(&row), "builds", "r-2", memory(secs(60)), secs(60)));
        assert_eq!(expect, Expect::Rev(1), "a run that read the same row loses");
    }

    #[test]
    fn what_is_remembered_survives_the_ledger_and_so_does_what_a_later_release_added() {
        let mut member = MemberMemory::new(T0);
        (member.idle, member.jobs_total, member.taken_at) = (3, Some(41), Some(secs(50)));
        let memory = Memory {
            last_run_at: Some(secs(60)),
            watched_since: Some(T0),
            left_desired: Some(4),
            needs: vec![Need { at: secs(60), slots: 9, pending: Some(2) }],
            members: [("i-1".to_owned(), member)].into(),
            ..Memory::default()
        };
        let (_, mut item) = written(&remember(None, "builds", "r-1", memory.clone(), secs(60)));
        item.insert("of_tomorrow".into(), json!(true));
        let row: PoolRow = decode(&item).unwrap();
        assert_eq!(row.memory, memory);
        let (_, again) = written(&remember(Some(&row), "builds", "r-2", Memory::default(), secs(120)));
        assert_eq!(again["of_tomorrow"], json!(true));
    }

    #[test]
    fn a_row_of_a_thousand_members_fits_into_an_item() {
        let mut member = MemberMemory::new(T0);
        (member.idle, member.failed, member.jobs_total) = (99, 99, Some(1_000_000));
        (member.taken_at, member.retired_at) = (Some(T0), Some(T0));
        let members = (0..1000).map(|n| (format!("i-0123456789abc{n:04}"), member.clone())).collect();
        let (_, item) = written(&remember(None, "builds", "r-1", Memory { members, ..Memory::default() }, T0));
        let bytes = serde_json::to_string(&item).unwrap().len();
        assert!(bytes < 200 * 1024, "DynamoDB takes 400 KB, and this is {bytes}");
    }
}
