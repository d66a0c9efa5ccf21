//! A case file: the job for the simulator, and what is expected of its end.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::kept::Kept;

/// How long a runner may take for a case that does not say.
const LIMIT_S: u64 = 60;

/// One case.
#[derive(Clone, Debug)]
pub(super) struct Case {
    whole: Value,
    /// How long a runner may take.
    pub(super) limit: Duration,
    /// What is expected; nothing but an orderly run when the case does not say.
    pub(super) expect: Option<Expect>,
    /// Why our end is meant to differ from the official runner's.
    pub(super) differs: Option<String>,
}

/// What a case expects. What is absent or null is not looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Expect {
    /// GitLab's word for the end, or the runner's.
    pub(super) state: Option<String>,
    /// The exit code; 0 is also none, as a success has none on the wire.
    pub(super) exit_code: Option<i64>,
    /// GitLab's failure reason, or the runner's.
    pub(super) reason: Option<String>,
    /// Texts that the log has, stamps and colours left out or not.
    pub(super) log_has: Vec<String>,
    /// Texts that it must not have.
    pub(super) log_lacks: Vec<String>,
    /// The log's sections, in order.
    pub(super) sections: Option<Vec<String>>,
    /// The artifacts that GitLab has of the job, all of them, by type.
    pub(super) artifacts: Option<BTreeMap<String, Kept>>,
}

/// A case file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum CaseError {
    #[error("{path} cannot be read")]
    File { path: PathBuf, source: io::Error },
    #[error(
        "{path} is no case: an object with script, and expect of state, exit_code, reason, log_has, log_lacks, \
         sections, artifacts"
    )]
    Shape { path: PathBuf, source: serde_json::Error },
}

/// The keys that are for us; the others are the simulator's.
#[derive(Deserialize)]
struct Keys {
    limit: Option<u64>,
    expect: Option<Expect>,
    differs: Option<String>,
}

impl Case {
    /// Reads a file.
    pub(super) fn read(path: &Path) -> Result<Self, CaseError> {
        let bytes = std::fs::read(path).map_err(|source| CaseError::File { path: path.to_owned(), source })?;
        Self::parse(&bytes).map_err(|source| CaseError::Shape { path: path.to_owned(), source })
    }

    fn parse(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        let whole: Value = serde_json::from_slice(bytes)?;
        let keys = Keys::deserialize(&whole)?;
        let limit = Duration::from_secs(keys.limit.unwrap_or(LIMIT_S));
        Ok(Self { whole, limit, expect: keys.expect, differs: keys.differs })
    }

    /// What the simulator gets.
    pub(super) fn description(&self) -> &Value {
        &self.whole
    }

    /// The expectations as they were written.
    pub(super) fn expected(&self) -> Value {
        match &self.whole["expect"] {
            Value::Null => json!({}),
            expect => expect.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recorded_case_needs_no_expectation() {
        let case = Case::parse(br#"{"about": "x", "script": ["echo first"], "probe": "first", "limit": 90}"#).unwrap();
        assert_eq!((case.limit, case.expect.clone()), (Duration::from_secs(90), None));
        assert_eq!(case.expected(), json!({}));
    }

    #[test]
    fn misspelt_expectations_and_other_shapes_are_refused() {
        for text in
            [r#"{"expect": {"status": "failed"}}"#, r#"{"expect": {"log_has": "x"}}"#, "[]", "{", r#"{"limit": -1}"#]
        {
            assert!(Case::parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}
