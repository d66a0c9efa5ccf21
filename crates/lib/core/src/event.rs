//! The launch event: what a Lambda target is started with. `docs/lambda-event.md` describes it for people who write a
//! target in another language, `docs/lambda-event.schema.json` for machines.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::id::{LaneId, LaunchId};
use crate::time::Timestamp;

/// The version of the event that this release writes and reads.
pub const VERSION: u32 = 1;

/// What a Lambda target is started with: ids, a nonce, and no other secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaunchEvent {
    /// [`VERSION`].
    pub v: u32,
    /// The launch that the target serves.
    pub launch: LaunchId,
    /// The proof that the target speaks for it.
    pub nonce: Nonce,
    /// The lane whose runner asks.
    pub lane: LaneId,
    /// The only GitLab to ask.
    pub gitlab_url: String,
    /// The function that speaks to the ledger for targets that cannot.
    pub claim_function: String,
    /// The launch's hard end.
    pub deadline_ms: Timestamp,
    /// How long to ask for a job, in seconds; 0 is a single ask.
    pub wait_s: u64,
    /// The job that the launch was started for, which is not always the one that GitLab hands out; `None` for a
    /// sentinel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_hint: Option<JobHint>,
}

/// What is known of the job that a launch was started for. The names are others' text, for logs only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobHint {
    /// GitLab's project id.
    pub project_id: u64,
    /// GitLab's job id.
    pub job_id: u64,
    /// The job's full name.
    #[serde(default)]
    pub name: String,
    /// Branch or tag.
    #[serde(default, rename = "ref")]
    pub git_ref: String,
    /// Its stage.
    #[serde(default)]
    pub stage: String,
}

/// A launch's nonce: who knows it speaks for the launch. It prints as `[nonce]`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Nonce(String);

impl Nonce {
    /// Wraps a text that was drawn at random, or that a caller claims to be one.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// See [`nonce_sha256`].
    #[must_use]
    pub fn sha256(&self) -> String {
        nonce_sha256(&self.0)
    }
}

impl fmt::Debug for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[nonce]")
    }
}

/// What a launch row keeps of its nonce: SHA-256 of the text, in lower-case hexadecimal digits.
#[must_use]
pub fn nonce_sha256(nonce: &str) -> String {
    hex::encode(Sha256::digest(nonce.as_bytes()))
}

/// An event that is not a launch event.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("launch event: {field} must be {what}; see docs/lambda-event.md")]
pub struct BadEvent {
    /// The field, by its path in the event.
    pub field: &'static str,
    /// What it must be. What it is instead may be secret.
    pub what: &'static str,
}

impl LaunchEvent {
    /// Reads an event. Unknown keys are a newer release's and are ignored.
    ///
    /// # Errors
    /// The first field that is missing or wrong.
    pub fn read(event: &Value) -> Result<Self, BadEvent> {
        for (pointer, field, fits, what) in FIELDS {
            let hint_is_absent = pointer.starts_with("/job_hint/") && event.get("job_hint").is_none_or(Value::is_null);
            if !hint_is_absent && !event.pointer(pointer).is_some_and(fits) {
                return Err(BadEvent { field, what });
            }
        }
        let whole = BadEvent { field: "the event", what: "an object of the documented fields" };
        Self::deserialize(event).map_err(|_| whole)
    }
}

/// What a value must be.
type Fits = fn(&Value) -> bool;

/// What every field must be: its JSON pointer, its name, the check, and the check in words.
const FIELDS: [(&str, &str, Fits, &str); 10] = [
    ("/v", "v", |v| v.as_u64() == Some(u64::from(VERSION)), "1, the version that this release understands"),
    ("/launch", "launch", is_launch_id, "a launch id: 1 to 64 letters, digits and hyphens"),
    ("/nonce", "nonce", is_filled, "a text that is not empty"),
    ("/lane", "lane", is_filled, "a lane id"),
    ("/gitlab_url", "gitlab_url", is_filled, "GitLab's URL"),
    ("/claim_function", "claim_function", Value::is_string, "the claim function's ARN"),
    ("/deadline_ms", "deadline_ms", Value::is_i64, "a time in milliseconds since 1970"),
    ("/wait_s", "wait_s", Value::is_u64, "a whole number of seconds"),
    ("/job_hint/project_id", "job_hint.project_id", Value::is_u64, "GitLab's project id, a whole number"),
    ("/job_hint/job_id", "job_hint.job_id", Value::is_u64, "GitLab's job id, a whole number"),
];

fn is_filled(value: &Value) -> bool {
    value.as_str().is_some_and(|text| !text.trim().is_empty())
}

/// Launch ids name folders, so that nothing else may pass as one.
fn is_launch_id(value: &Value) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    value.as_str().is_some_and(|text| (1..=64).contains(&text.len()) && text.chars().all(plain))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn event() -> Value {
        json!({"v": 1, "launch": "l-0123456789abcdefghij", "nonce": "n0nce", "lane": "e9fd57dc11b17c63",
            "gitlab_url": "https://gitlab.example.com", "claim_function": "arn:aws:lambda:eu-west-1:1:function:claim",
            "deadline_ms": 1_789_374_780_000_i64, "wait_s": 20,
            "job_hint": {"project_id": 380, "job_id": 4_300_000_000_u64, "name": "unit", "ref": "main", "stage": "test"}})
    }

    #[test]
    fn an_event_survives_its_text_form_and_the_nonce_is_never_printed() {
        let read = LaunchEvent::read(&event()).unwrap();
        assert_eq!(serde_json::to_value(&read).unwrap(), event());
        assert!(!format!("{read:?}").contains("n0nce"), "{read:?}");
        assert_eq!(read.nonce.sha256(), nonce_sha256("n0nce"));
        assert_eq!(
            nonce_sha256("abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            "the standard's own example"
        );
    }

    #[test]
    fn a_sentinel_has_no_job_and_newer_fields_are_ignored() {
        let mut newer = event();
        newer["of_tomorrow"] = json!([1]);
        newer["job_hint"] = Value::Null;
        assert_eq!(LaunchEvent::read(&newer).unwrap().job_hint, None);
        newer.as_object_mut().unwrap().remove("job_hint");
        let sentinel = LaunchEvent::read(&newer).unwrap();
        assert!(serde_json::to_value(&sentinel).unwrap().get("job_hint").is_none(), "absent, not null");
    }

    #[test]
    fn what_is_missing_or_wrong_is_named_and_not_repeated() {
        for (field, wrong) in [
            ("v", json!(2)),
            ("launch", json!("../etc")),
            ("launch", json!("")),
            ("nonce", json!(77_001)),
            ("nonce", json!(" ")),
            ("lane", json!(null)),
            ("gitlab_url", json!("")),
            ("claim_function", json!(1)),
            ("deadline_ms", json!("soon")),
            ("wait_s", json!(-1)),
        ] {
            let mut bad = event();
            bad[field] = wrong;
            let error = LaunchEvent::read(&bad).unwrap_err();
            assert_eq!(error.field, field);
            assert!(!error.to_string().contains("77001"), "{error}");
        }
        let mut bad = event();
        bad["job_hint"] = json!({"project_id": 1});
        assert_eq!(LaunchEvent::read(&bad).unwrap_err().field, "job_hint.job_id");
        bad["job_hint"] = json!("unit");
        assert!(LaunchEvent::read(&bad).is_err());
        assert_eq!(LaunchEvent::read(&json!([])).unwrap_err().field, "v");
    }
}
