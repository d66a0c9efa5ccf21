//! What came of one run of a case.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::kept::{self, Kept};
use super::log;
use super::runner::Trip;

/// The end of one job, as GitLab sees it.
#[derive(Clone, Debug)]
pub(super) struct End {
    /// GitLab's word.
    pub(super) state: String,
    /// Whether GitLab takes the job for over.
    pub(super) ended: bool,
    /// GitLab's exit code.
    pub(super) exit_code: Option<i64>,
    /// GitLab's failure reason.
    pub(super) reason: Option<String>,
    /// What the runner said, where that is another thing: GitLab makes `canceled` of a cancelled job's `failed`.
    pub(super) reported: Reported,
    /// The log's sections.
    pub(super) sections: Vec<String>,
    /// The whole log.
    pub(super) log: String,
    /// Its text alone.
    pub(super) text: String,
    /// How the runner's process went.
    pub(super) trip: Trip,
    /// What was kept of the job, by type.
    pub(super) artifacts: BTreeMap<String, Kept>,
    /// What GitLab would not forgive.
    pub(super) violations: Vec<String>,
    path: PathBuf,
}

/// The runner's last final update.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Reported {
    /// `success` or `failed`; none when none came.
    pub(super) state: Option<String>,
    /// Its reason.
    pub(super) reason: Option<String>,
    /// Its exit code.
    pub(super) exit_code: Option<i64>,
}

impl End {
    /// Reads the simulator's view of a job.
    pub(super) fn new(seen: &Value, log: &[u8], path: PathBuf, trip: Trip, violations: Vec<String>) -> Self {
        let log = String::from_utf8_lossy(log).into_owned();
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let said = &seen["reported"];
        Self {
            state: text(&seen["status"]).unwrap_or_default(),
            ended: seen["ended"].as_bool().unwrap_or(false),
            exit_code: seen["exit_code"].as_i64(),
            reason: text(&seen["failure_reason"]),
            reported: Reported {
                state: text(&said["state"]),
                reason: text(&said["failure_reason"]),
                exit_code: said["exit_code"].as_i64(),
            },
            sections: log::sections(&log),
            text: log::plain(&log),
            log,
            artifacts: kept::artifacts(&seen["artifacts"]),
            trip,
            violations,
            path,
        }
    }

    /// For the JSON line.
    pub(super) fn view(&self) -> Value {
        let reported = &self.reported;
        json!({
            "state": self.state,
            "exit_code": self.exit_code,
            "reason": self.reason,
            "reported": {"state": reported.state, "exit_code": reported.exit_code, "reason": reported.reason},
            "sections": self.sections,
            "artifacts": self.artifacts,
            "runner_exit": self.trip.code,
            "late": self.trip.late,
            "ms": u64::try_from(self.trip.took.as_millis()).unwrap_or(u64::MAX),
            "violations": self.violations,
            "log": self.path,
        })
    }
}
