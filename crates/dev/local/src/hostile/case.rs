//! A case file: the hostile job, and what is expected of it, stated beforehand.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

/// How long an executor may take for a case that does not say.
const LIMIT_S: u64 = 60;

/// One case.
#[derive(Clone, Debug)]
pub(super) struct Case {
    whole: Value,
    /// How long the executor may take; after that it is killed.
    pub(super) limit: Duration,
    /// What is expected.
    pub(super) expect: Expect,
}

/// What a case expects. What is absent is not looked at.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Expect {
    /// GitLab's word for the end, or the runner's.
    pub(super) state: String,
    /// The exit code.
    pub(super) exit_code: Option<i64>,
    /// GitLab's failure reason.
    pub(super) reason: Option<String>,
    /// Texts that the log has.
    #[serde(default)]
    pub(super) log_has: Vec<String>,
    /// Texts that it must not have.
    #[serde(default)]
    pub(super) log_lacks: Vec<String>,
    /// The largest log (bytes).
    pub(super) log_at_most: Option<usize>,
    /// What becomes of the executor's process.
    #[serde(default)]
    pub(super) executor: Process,
}

/// What becomes of the executor's process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Process {
    /// It answers and serves the next job.
    #[default]
    Survives,
    /// It ends, by the job or by itself; another one serves the next job.
    Ends,
    /// It gives no answer within the case's limit.
    Hangs,
}

/// A case file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum CaseError {
    #[error("{path} cannot be read")]
    File { path: PathBuf, source: io::Error },
    #[error(
        "{path} is no case: an object with script, and expect of state, exit_code, reason, log_has, log_lacks, log_at_most \
         and executor (survives, ends or hangs)"
    )]
    Shape { path: PathBuf, source: serde_json::Error },
}

/// The keys that are for us; the others are the simulator's.
#[derive(Deserialize)]
struct Keys {
    limit: Option<u64>,
    expect: Expect,
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
        Ok(Self { whole, limit: Duration::from_secs(keys.limit.unwrap_or(LIMIT_S)), expect: keys.expect })
    }

    /// What the simulator gets.
    pub(super) fn description(&self) -> &Value {
        &self.whole
    }

    /// The expectations as they were written.
    pub(super) fn expected(&self) -> &Value {
        &self.whole["expect"]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_without_an_expectation_or_with_a_misspelt_one_is_refused() {
        let case = Case::parse(br#"{"script": ["true"], "expect": {"state": "success", "executor": "ends"}}"#).unwrap();
        assert_eq!((case.limit, case.expect.executor), (Duration::from_secs(60), Process::Ends));
        for text in [
            r#"{"script": ["true"]}"#,
            r#"{"expect": {"executor": "ends"}}"#,
            r#"{"expect": {"state": "failed", "exitcode": 1}}"#,
            r#"{"expect": {"state": "failed", "executor": "flies"}}"#,
            "[]",
        ] {
            assert!(Case::parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}
