//! Own runners: as which of GitLab's runners our lanes ask.
//!
//! Hooks name a runner by its id, and our lanes know their runner by its token. GitLab tells the id once, when the token is
//! verified; two small rows keep it: `lane#<lane id>` for the lane's executor, which asks GitLab again only when the
//! token is another one, and `runner#<runner id>` for ingest, which meets the id in hooks.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::change::{Item, SCHEMA};
use crate::id::LaneId;
use crate::time::Timestamp;

/// Hexadecimal digits that are kept of a token's hash: enough to tell tokens apart, and no help to find one.
const MARK_DIGITS: usize = 16;

/// The runner that a lane's token belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnRunner {
    /// GitLab's runner id.
    pub runner_id: u64,
    /// The lane.
    pub lane: LaneId,
    /// The first digits of SHA-256 over the token.
    pub token_mark: String,
    /// When GitLab said so.
    pub seen_at: Timestamp,
}

impl OwnRunner {
    /// GitLab says that this token is that runner's.
    #[must_use]
    pub fn new(runner_id: u64, lane: LaneId, token: &str, now: Timestamp) -> Self {
        Self { runner_id, lane, token_mark: mark(token), seen_at: now }
    }

    /// Whether it was said of this token.
    #[must_use]
    pub fn is_of(&self, token: &str) -> bool {
        self.token_mark == mark(token)
    }

    /// The rows, in the order in which they are written: a lane that is known has a runner that is known.
    #[must_use]
    pub fn items(&self) -> [Item; 2] {
        [runner_pk(self.runner_id), lane_pk(&self.lane)].map(|pk| {
            let Ok(Value::Object(mut item)) = serde_json::to_value(self) else {
                unreachable!("a struct with text keys");
            };
            item.insert("pk".into(), pk.into());
            item.insert("schema".into(), SCHEMA.into());
            item
        })
    }
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

fn mark(token: &str) -> String {
    let mut digits = hex::encode(Sha256::digest(token.as_bytes()));
    digits.truncate(MARK_DIGITS);
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_token_is_another_runner_until_gitlab_says_so() {
        let own = OwnRunner::new(7, LaneId::new("aa"), "glrt-one", Timestamp(1));
        assert!(own.is_of("glrt-one") && !own.is_of("glrt-two"));
        let [runner, lane] = own.items();
        assert_eq!((runner["pk"].as_str(), lane["pk"].as_str()), (Some("runner#7"), Some("lane#aa")));
        assert_eq!(lane["token_mark"].as_str().map(str::len), Some(16));
        assert!(!format!("{lane:?}").contains("glrt-"));
    }
}
