//! Lanes and runners of ours, as the ledger keeps them.
//!
//! Hooks name a runner by its id, and our lanes know their runner by its token. GitLab tells the id when a token is
//! verified. `runner#<runner id>` keeps it for ingest, which meets the id in hooks; `lane#<lane id>` keeps it for the
//! lane's executor, which asks GitLab again only when the token is another one, and says when the sweep looks after the
//! lane, see [`crate::moves::lane_duty`].

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use crate::change::{Due, Row};
use crate::id::{LaneId, LaunchId};
use crate::lane::Engine;
use crate::limits;
use crate::time::Timestamp;

/// Hexadecimal digits that are kept of a token's hash: enough to tell tokens apart, and no help to find one.
const MARK_DIGITS: usize = 16;

/// The partition of the due index that lane rows are found in.
pub const LANES: &str = "lanes";

/// Why nobody can ask GitLab for a lane's jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenTrouble {
    /// No token is stored, or none that can ask for jobs.
    Missing,
    /// GitLab does not accept the one that is stored.
    Refused,
}

/// One lane of the ledger (`lane#<lane id>`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LaneRow {
    /// The revision, see [`crate::change`]; rows of releases that kept none have 0.
    #[serde(default)]
    pub rev: u64,
    /// The lane.
    pub lane: LaneId,
    /// What runs its jobs: where its token is stored.
    #[serde(default = "lambda")]
    pub engine: Engine,
    /// GitLab's id of the runner that the lane asks as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runner_id: Option<u64>,
    /// The first digits of SHA-256 over the token of which GitLab said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_mark: Option<String>,
    /// When GitLab said so first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen_at: Option<Timestamp>,
    /// What the last verification found wrong with the token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_trouble: Option<TokenTrouble>,
    /// When an operator was last told of that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told_at: Option<Timestamp>,
    /// Since when GitLab is asked for a runner for the lane, while it has not answered, see [`crate::moves::lane_making`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub making_since: Option<Timestamp>,
    /// The first digits of SHA-256 over the token of the runner that was made for the lane.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_mark: Option<String>,
    /// When the token is verified again, which also keeps the runner online.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_verify_at: Option<Timestamp>,
    /// When the next sentinel is due, see [`crate::moves::sentinel`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_sentinel_at: Option<Timestamp>,
    /// The last sentinel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sentinel: Option<LaunchId>,
    /// When the sweep looks at it.
    #[serde(flatten)]
    pub due: Due,
    /// When DynamoDB may delete the row (s since the epoch); only of lanes that the mapping no longer has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<i64>,
    /// Attributes of a newer release: kept as they are.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Rows of releases that kept no engine are of Lambda lanes: there were no others.
const fn lambda() -> Engine {
    Engine::Lambda
}

impl LaneRow {
    /// A row for a lane that nobody looked after yet.
    #[must_use]
    pub fn new(lane: LaneId, engine: Engine) -> Self {
        Self {
            rev: 0,
            lane,
            engine,
            runner_id: None,
            token_mark: None,
            seen_at: None,
            token_trouble: None,
            making_since: None,
            made_mark: None,
            told_at: None,
            next_verify_at: None,
            next_sentinel_at: None,
            sentinel: None,
            due: Due::never(),
            expires_at: None,
            extra: Map::new(),
        }
    }

    /// Whether GitLab has said as which runner this token asks.
    #[must_use]
    pub fn knows(&self, token: &str) -> bool {
        self.token_mark.as_deref() == Some(mark(token).as_str())
    }

    /// Whether this is the token of the runner that was made for the lane, and is deleted with it.
    #[must_use]
    pub fn made(&self, token: &str) -> bool {
        self.made_mark.as_deref() == Some(mark(token).as_str())
    }

    /// GitLab has said so.
    pub(crate) fn learn(&mut self, runner_id: Option<u64>, token: &str, now: Timestamp) {
        if !self.knows(token) || self.runner_id != runner_id {
            self.seen_at = Some(now);
        }
        self.runner_id = runner_id;
        self.token_mark = Some(mark(token));
        self.token_trouble = None;
        self.told_at = None;
    }

    /// The sweep looks at the row at `at`.
    pub(crate) fn due_at(&mut self, at: Timestamp) {
        self.due = Due::in_partition(LANES, at);
        self.expires_at = None;
    }

    /// Nothing is left to do.
    pub(crate) fn retire(&mut self, now: Timestamp) {
        self.next_verify_at = None;
        self.next_sentinel_at = None;
        self.due = Due::never();
        self.expires_at = Some((now + limits::KEEP_CLOSED_ROWS).epoch_secs());
    }
}

impl Row for LaneRow {
    fn pk(&self) -> String {
        lane_pk(&self.lane)
    }
    fn rev(&self) -> u64 {
        self.rev
    }
    fn set_rev(&mut self, rev: u64) {
        self.rev = rev;
    }
}

/// A runner that one of our lanes asks as, or one of its launches (`runner#<runner id>`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunnerRow {
    /// The revision, see [`crate::change`]; rows of releases that kept none have 0.
    #[serde(default)]
    pub rev: u64,
    /// GitLab's runner id.
    pub runner_id: u64,
    /// The lane.
    pub lane: LaneId,
    /// When GitLab said so.
    pub seen_at: Timestamp,
    /// The one launch that asks as it; `None` for a lane's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub launch: Option<LaunchId>,
    /// When DynamoDB deletes it, in seconds: a launch's runner goes with its launch. `None` for a lane's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<i64>,
    /// Attributes of another release: kept as they are.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Row for RunnerRow {
    fn pk(&self) -> String {
        runner_pk(self.runner_id)
    }
    fn rev(&self) -> u64 {
        self.rev
    }
    fn set_rev(&mut self, rev: u64) {
        self.rev = rev;
    }
}

/// What GitLab calls a runner that was made for a lane. Nothing is ever found by it: people look for it.
#[must_use]
pub fn lane_runner_name(lane: &LaneId) -> String {
    format!("runnerless lane {lane}")
}

/// The lane's row.
#[must_use]
pub fn lane_pk(lane: &LaneId) -> String {
    format!("lane#{lane}")
}

/// The runner's row.
#[must_use]
pub fn runner_pk(runner_id: u64) -> String {
    format!("runner#{runner_id}")
}

/// The first digits of SHA-256 over a token: enough to know it again, and no help to who has no token.
#[must_use]
pub fn mark(token: &str) -> String {
    let mut digits = hex::encode(Sha256::digest(token.as_bytes()));
    digits.truncate(MARK_DIGITS);
    digits
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::{Item, Write, decode, put};

    #[test]
    fn another_token_is_another_runner_until_gitlab_says_so() {
        let mut row = LaneRow::new(LaneId::new("aa"), Engine::Lambda);
        assert!(!row.knows("glrt-one"));
        row.learn(Some(7), "glrt-one", Timestamp(1));
        assert!(row.knows("glrt-one") && !row.knows("glrt-two"));
        row.learn(Some(7), "glrt-one", Timestamp(2));
        assert_eq!(row.seen_at, Some(Timestamp(1)));
        let Write::Put(item) = put(None, row).unwrap().write else { panic!("a write") };
        assert_eq!((item["pk"].as_str(), item["token_mark"].as_str().map(str::len)), (Some("lane#aa"), Some(16)));
        assert!(!format!("{item:?}").contains("glrt-"));
    }

    #[test]
    fn a_row_of_an_earlier_release_is_read_and_what_a_later_one_added_is_kept() {
        let old: Item =
            serde_json::from_value(serde_json::json!({"pk": "lane#aa", "schema": 1, "runner_id": 7, "lane": "aa",
            "token_mark": "0123456789abcdef", "seen_at": 5, "of_tomorrow": true}))
            .unwrap();
        let row: LaneRow = decode(&old).unwrap();
        assert_eq!((row.rev, row.engine, row.runner_id, row.seen_at), (0, Engine::Lambda, Some(7), Some(Timestamp(5))));
        let Write::Put(item) =
            put(Some(&row), LaneRow { sentinel: Some(LaunchId::new("l-1")), ..row.clone() }).unwrap().write
        else {
            panic!("a write")
        };
        assert_eq!((&item["of_tomorrow"], &item["rev"]), (&Value::Bool(true), &Value::from(1)));
    }
}
