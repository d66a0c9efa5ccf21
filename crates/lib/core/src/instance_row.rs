//! Instances that no launch names, as the ledger remembers them (`instance#<instance id>`): since when they are watched.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::change::Row;
use crate::limits;
use crate::time::Timestamp;

/// The primary key of an instance's row.
#[must_use]
pub fn instance_pk(instance: &str) -> String {
    format!("instance#{instance}")
}

/// One instance that was found without a launch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InstanceRow {
    /// The revision, see [`crate::change`].
    pub rev: u64,
    /// The instance's id.
    pub instance: String,
    /// When it was first found without a launch.
    pub first_seen: Timestamp,
    /// When DynamoDB may delete the row (s since the epoch).
    pub expires_at: i64,
    /// Attributes of a newer release: kept as they are.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl InstanceRow {
    /// Of an instance that is first seen at `now`.
    #[must_use]
    pub fn new(instance: impl Into<String>, now: Timestamp) -> Self {
        let expires_at = (now + limits::KEEP_CLOSED_ROWS).epoch_secs();
        Self { rev: 0, instance: instance.into(), first_seen: now, expires_at, extra: Map::new() }
    }
}

impl Row for InstanceRow {
    fn pk(&self) -> String {
        instance_pk(&self.instance)
    }
    fn rev(&self) -> u64 {
        self.rev
    }
    fn set_rev(&mut self, rev: u64) {
        self.rev = rev;
    }
}
