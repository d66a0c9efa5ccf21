//! Plans: conditional writes as data.
//!
//! Every ledger row carries a revision `rev`. A decision reads rows, and each row that it changes (or relies on) is
//! written on condition that its revision is still the one that was read. A plan is applied whole or not at all; when
//! it meets a newer revision, the caller loads again and decides again. The conditions of the design's moves are
//! therefore the decisions' own `if`s, and no adapter knows them.

use serde::de::DeserializeOwned;
use serde::de::value::MapDeserializer;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::drain::DRAIN_PK;
use crate::id::{JobKey, LaneId, LaunchId};
use crate::instance_row::instance_pk;
use crate::job::JobRow;
use crate::lane_row::{lane_pk, runner_pk};
use crate::launch::LaunchRow;
use crate::live::LIVE_PK;
use crate::pool::pool_pk;
use crate::project::{ROUNDS_PK, project_pk};

/// The attributes of one ledger row, flat, as DynamoDB stores them.
pub type Item = Map<String, Value>;

/// The version of the row format that this release writes. The previous release reads it: attributes are only added.
pub const SCHEMA: u32 = 1;

/// What a write demands of the row that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// No row.
    Absent,
    /// A row of exactly this revision.
    Rev(u64),
}

/// What is to become of the row.
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    /// The row is replaced by these attributes.
    Put(Item),
    /// The row stays; the plan only relies on its revision.
    Check,
}

/// One conditional write.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The row's primary key.
    pub pk: String,
    /// The condition.
    pub expect: Expect,
    /// The write.
    pub write: Write,
}

/// Conditional writes that are applied together or not at all, and why.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Plan {
    /// The writes, each of another row. At most 100 (DynamoDB's limit for a transaction); ours have at most four.
    pub changes: Vec<Change>,
    /// Why, for logs and for `explain`.
    pub reason: String,
}

impl Plan {
    /// A plan with a reason and no writes yet.
    #[must_use]
    pub fn because(reason: impl Into<String>) -> Self {
        Self { changes: Vec::new(), reason: reason.into() }
    }

    /// Adds a write.
    #[must_use]
    pub fn with(mut self, change: Change) -> Self {
        self.changes.push(change);
        self
    }

    /// Adds a write if there is one.
    #[must_use]
    pub fn with_some(mut self, change: Option<Change>) -> Self {
        self.changes.extend(change);
        self
    }

    /// A row as the plan leaves it; `None` when it does not write that. Who applied the plan can go on from there without
    /// reading the row: what others write meanwhile has another revision.
    #[must_use]
    pub fn leaves<R: Row>(&self, pk: &str) -> Option<R> {
        let change = self.changes.iter().find(|change| change.pk == pk)?;
        match &change.write {
            Write::Put(item) => decode(item).ok(),
            Write::Check => None,
        }
    }
}

/// A row kind of the ledger.
pub trait Row: Serialize + DeserializeOwned + Clone + PartialEq {
    /// The primary key.
    fn pk(&self) -> String;
    /// The revision that was read; 0 for a row that was never stored.
    fn rev(&self) -> u64;
    /// Sets the revision.
    fn set_rev(&mut self, rev: u64);
}

/// A row that could not be read. It is reported and left alone: guessing at a row could end somebody's job.
#[derive(Debug, thiserror::Error)]
#[error("ledger row {pk} cannot be read")]
pub struct BadRow {
    /// The row's primary key.
    pub pk: String,
    /// What is wrong with it.
    #[source]
    pub source: serde_json::Error,
}

/// Reads a row from its attributes.
///
/// # Errors
/// A row that lacks an attribute or has one of another type.
pub fn decode<R: Row>(item: &Item) -> Result<R, BadRow> {
    // Read in place: a row is read for each decision, and copying its attributes first cost as much as reading them.
    let own = item.iter().filter(|(name, _)| !matches!(name.as_str(), "pk" | "schema"));
    let attributes = MapDeserializer::new(own.map(|(name, value)| (name.as_str(), value)));
    R::deserialize(attributes)
        .map_err(|source| BadRow { pk: item.get("pk").and_then(Value::as_str).unwrap_or("?").to_owned(), source })
}

/// The attributes of a row, without those that are null: DynamoDB's sparse index wants them absent.
fn encode<R: Row>(row: &R) -> Item {
    let Ok(Value::Object(mut item)) = serde_json::to_value(row) else {
        unreachable!("a ledger row is a struct with text keys");
    };
    item.retain(|_, value| !value.is_null());
    item.insert("pk".into(), row.pk().into());
    item.insert("schema".into(), SCHEMA.into());
    item
}

/// Replaces `before` (or creates the row) by `after`, one revision later. `None` when nothing would change.
#[must_use]
pub fn put<R: Row>(before: Option<&R>, mut after: R) -> Option<Change> {
    if before.is_some_and(|row| *row == after) {
        return None;
    }
    let stored = before.map_or(0, Row::rev);
    after.set_rev(stored + 1);
    Some(Change {
        pk: after.pk(),
        expect: if before.is_some() { Expect::Rev(stored) } else { Expect::Absent },
        write: Write::Put(encode(&after)),
    })
}

/// Relies on `row` as it was read.
#[must_use]
pub fn check<R: Row>(row: &R) -> Change {
    Change { pk: row.pk(), expect: Expect::Rev(row.rev()), write: Write::Check }
}

/// A key of a ledger row.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RowKey {
    /// A job's row.
    Job(JobKey),
    /// A launch's row.
    Launch(LaunchId),
    /// What a project's foreign runners took, see [`crate::route::Learned`].
    Learned(String),
    /// A lane, see [`crate::lane_row`].
    Lane(LaneId),
    /// A runner of ours.
    Runner(u64),
    /// A project, see [`crate::project`].
    Project(u64),
    /// The listing as a whole, see [`crate::project::Rounds`].
    Rounds,
    /// An instance that no launch names, by its id, see [`crate::instance_row`].
    Instance(String),
    /// Whether the stack drains, see [`crate::drain`].
    Drain,
    /// The counts of live launches, see [`crate::live`].
    Live,
    /// What a pool's runs remember, by its group's name, see [`crate::pool`].
    Pool(String),
}

impl RowKey {
    /// What says whether there may be a launch more: the counts, and whether the stack drains. Whoever launches reads both.
    pub const ROOM: [Self; 2] = [Self::Live, Self::Drain];

    /// The primary key.
    #[must_use]
    pub fn pk(&self) -> String {
        match self {
            Self::Job(key) => key.pk(),
            Self::Launch(id) => id.pk(),
            Self::Learned(pk) => pk.clone(),
            Self::Lane(lane) => lane_pk(lane),
            Self::Runner(id) => runner_pk(*id),
            Self::Project(id) => project_pk(*id),
            Self::Rounds => ROUNDS_PK.to_owned(),
            Self::Instance(id) => instance_pk(id),
            Self::Drain => DRAIN_PK.to_owned(),
            Self::Live => LIVE_PK.to_owned(),
            Self::Pool(group) => pool_pk(group),
        }
    }
}

impl Row for JobRow {
    fn pk(&self) -> String {
        self.key().pk()
    }
    fn rev(&self) -> u64 {
        self.rev
    }
    fn set_rev(&mut self, rev: u64) {
        self.rev = rev;
    }
}

impl Row for LaunchRow {
    fn pk(&self) -> String {
        self.launch.pk()
    }
    fn rev(&self) -> u64 {
        self.rev
    }
    fn set_rev(&mut self, rev: u64) {
        self.rev = rev;
    }
}

/// The shard of the due index that a row is found in while it has something due: `open#<0..15>`.
///
/// Sixteen shards: one DynamoDB partition takes 1,000 writes a second, so sixteen take the bursts that one stack's
/// caps allow, and the sweep still needs only sixteen queries a minute.
pub const SHARDS: u32 = 16;

/// The shard of a row, from its primary key (FNV-1a: stable across releases and platforms).
#[must_use]
pub fn shard(pk: &str) -> String {
    let hash = pk.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    shard_name(hash % SHARDS)
}

/// The name of shard `number`.
#[must_use]
pub fn shard_name(number: u32) -> String {
    format!("open#{number}")
}

/// What the due index reads of a row: both attributes or neither.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Due {
    /// The shard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open: Option<String>,
    /// When the sweep looks at the row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_check_at: Option<crate::time::Timestamp>,
}

impl Due {
    /// Due at `at`.
    #[must_use]
    pub fn at(pk: &str, at: crate::time::Timestamp) -> Self {
        Self::in_partition(shard(pk), at)
    }

    /// Due at `at`, in a partition that is not one of the shards.
    #[must_use]
    pub fn in_partition(partition: impl Into<String>, at: crate::time::Timestamp) -> Self {
        Self { open: Some(partition.into()), next_check_at: Some(at) }
    }

    /// Nothing is due any more.
    #[must_use]
    pub const fn never() -> Self {
        Self { open: None, next_check_at: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::moves::testing::{bound_pair, charged_pair};

    #[test]
    fn rows_survive_the_ledger_and_keep_a_newer_releases_attributes() {
        let (job, launch) = bound_pair(1, "l-1");
        let mut item = encode(&job);
        item.insert("attribute_of_tomorrow".into(), "kept".into());
        let read: JobRow = decode(&item).unwrap();
        assert_eq!(read.extra.get("attribute_of_tomorrow"), Some(&Value::from("kept")));
        let Some(Change { write: Write::Put(again), .. }) = put(None, JobRow { rev: 0, ..read }) else {
            panic!("no write")
        };
        assert_eq!(again.get("attribute_of_tomorrow"), Some(&Value::from("kept")));
        let read: LaunchRow = decode(&encode(&launch)).unwrap();
        assert_eq!(read.due, launch.due);
        assert_eq!(read.times, launch.times);
    }

    #[test]
    fn rows_have_the_documented_attributes() {
        let (job, launch) = charged_pair(1, "l-1");
        let (job, launch) = (encode(&job), encode(&launch));
        for name in ["pk", "gitlab_status", "state", "lane", "attempt", "charge", "reason", "next_check_at", "open"] {
            assert!(job.contains_key(name), "job row lacks {name}");
        }
        for name in ["pk", "state", "lane", "engine", "target", "charged_to", "system_id", "lease_until", "deadline"] {
            assert!(launch.contains_key(name), "launch row lacks {name}");
        }
        assert_eq!((&job["pk"], &job["state"]), (&"job#380#1".into(), &"charged".into()));
        assert_eq!((&launch["charged_to"], &launch["schema"]), (&"380/1".into(), &SCHEMA.into()));
        assert!(!job.contains_key("launch") && !job.contains_key("expires_at"), "absent, not null");
    }

    #[test]
    fn a_row_is_known_as_the_plan_leaves_it() {
        let (job, launch) = charged_pair(1, "l-1");
        let after = JobRow { attempt: 9, ..job.clone() };
        let plan = Plan::because("test").with_some(put(Some(&job), after.clone())).with(check(&launch));
        assert_eq!(plan.leaves::<JobRow>(&job.pk()), Some(JobRow { rev: job.rev + 1, ..after }));
        assert_eq!(plan.leaves::<LaunchRow>(&launch.pk()), None, "it is only relied on");
        assert_eq!(plan.leaves::<JobRow>("job#1#9"), None);
    }

    #[test]
    fn an_unchanged_row_is_not_written() {
        let (job, _) = charged_pair(1, "l-1");
        assert_eq!(put(Some(&job), job.clone()), None);
        let changed = JobRow { attempt: 9, ..job.clone() };
        assert_eq!(put(Some(&job), changed).unwrap().expect, Expect::Rev(job.rev));
    }
}
