//! What the default route learned: job names that runners of others take.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::change::{Item, SCHEMA};
use crate::id::JobKey;
use crate::limits;
use crate::route::base_name;
use crate::time::Timestamp;

/// In this project, a runner that is not ours took a job of this name which the default route had launched for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Learned {
    /// The ledger's primary key, see [`learned_pk`].
    pub pk: String,
    /// The job's base name, for people who read the table.
    pub name: String,
    /// When it was seen last.
    pub seen_at: Timestamp,
    /// When it is forgotten (s since the epoch).
    pub expires_at: i64,
}

impl Learned {
    /// A runner of others took the job.
    #[must_use]
    pub fn new(key: JobKey, name: &str, now: Timestamp) -> Self {
        Self {
            pk: learned_pk(key.project, name),
            name: base_name(name).to_owned(),
            seen_at: now,
            expires_at: (now + limits::LEARNED_KEEP).epoch_secs(),
        }
    }

    /// The row's attributes.
    #[must_use]
    pub fn to_item(&self) -> Item {
        let Ok(Value::Object(mut item)) = serde_json::to_value(self) else {
            unreachable!("a struct with text keys");
        };
        item.insert("schema".into(), SCHEMA.into());
        item
    }

    /// Whether it is still remembered; DynamoDB deletes expired rows up to days late.
    #[must_use]
    pub const fn holds(&self, now: Timestamp) -> bool {
        now.epoch_secs() < self.expires_at
    }
}

/// `learned#<project id>#<16 hex digits of SHA-256 of the base name>`: names are any text, keys are not.
#[must_use]
pub fn learned_pk(project: u64, name: &str) -> String {
    let digest = hex::encode(Sha256::digest(base_name(name).as_bytes()));
    format!("learned#{project}#{}", &digest[..16])
}
