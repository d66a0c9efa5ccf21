//! A job and everything that happened to it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use super::spec::JobSpec;
use super::status::Status;
use crate::clock::Millis;
use crate::log::JobLog;

/// One job (GitLab's build). A retry is another one.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Job {
    /// Its id.
    pub id: u64,
    /// Its project.
    pub project: u64,
    /// Its pipeline.
    pub pipeline: u64,
    /// What it is made of.
    #[serde(serialize_with = "write_spec", deserialize_with = "read_spec")]
    pub spec: Arc<JobSpec>,
    /// Its state.
    pub status: Status,
    /// Whether its failure counts; an exit code may change it at the end.
    pub allow_failure: bool,
    /// The script's exit code as reported.
    pub exit_code: Option<u32>,
    /// Why it failed; only for failed jobs.
    pub failure_reason: Option<String>,
    /// Replaced by a newer job of the same name.
    pub retried: bool,
    /// The job that this one repeats.
    pub retry_of: Option<u64>,
    /// Number of earlier jobs of that name in the pipeline.
    pub retries_count: u32,
    /// When it was made.
    pub created_at: Millis,
    /// When it became pending.
    pub queued_at: Option<Millis>,
    /// When a runner took it.
    pub started_at: Option<Millis>,
    /// When it ended.
    pub finished_at: Option<Millis>,
    /// When a runner last spoke about it, or it changed.
    pub touched_at: Millis,
    /// What a runner has, or had, of it.
    pub hold: Hold,
    /// The times that the simulator promises to stamp.
    pub stamps: Stamps,
    /// Its log.
    pub log: JobLog,
    /// Uploaded files by artifact type.
    pub artifacts: BTreeMap<String, Artifact>,
    /// What makes a case file's job special.
    pub raw: Option<RawJob>,
    /// Prepared misbehaviour of the server for this job.
    pub knobs: Knobs,
    /// The state of the first final update that was answered 202, 200 or refused.
    pub final_state: Option<String>,
    /// What the last final update of the runner that has it said, whatever was made of it.
    pub reported: Option<Reported>,
    /// The runner was told that the job is over, so that whatever it sends now is its mistake.
    pub told_over: bool,
}

/// The runner's side of a job.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Hold {
    /// The job's token; empty while nobody has it.
    pub token: String,
    /// Tokens of offers that expired.
    pub expired_tokens: BTreeSet<String>,
    /// The runner.
    pub runner: Option<u64>,
    /// The machine.
    pub system_id: Option<String>,
    /// Two-phase commit: offered, to be accepted until then.
    pub offered_until: Option<Millis>,
    /// The runner asked to be told of a cancellation.
    pub cancel_gracefully: bool,
    /// The runner said that its final report carries size and checksum of the log.
    pub counts_log: bool,
    /// The timeout that was handed out, in seconds.
    pub timeout_s: u64,
}

/// A runner's own words about a job's end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reported {
    /// `success` or `failed`.
    pub state: String,
    /// Why it failed.
    pub failure_reason: Option<String>,
    /// The script's exit code.
    pub exit_code: Option<i64>,
}

/// What interfaces promise to be stamped by the simulator.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Stamps {
    /// The `pending` hook left.
    pub hook_sent: Option<Millis>,
    /// A runner got the 201.
    pub picked_up: Option<Millis>,
    /// The first bytes of `step_script` came.
    pub first_output: Option<Millis>,
    /// It ended.
    pub finished: Option<Millis>,
}

/// An uploaded file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Artifact {
    /// The name the runner gave it.
    pub filename: String,
    /// Bytes.
    pub size: u64,
    /// Hex SHA-256, to tell a repetition from another file.
    pub sha256: String,
    /// `zip`, `gzip` or `raw`.
    pub format: String,
    /// Where it lies.
    pub path: PathBuf,
}

/// A job made from a case file.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct RawJob {
    /// Keys that replace those of the 201 body.
    pub body: Map<String, Value>,
    /// The zip that `GET jobs/:id/artifacts` answers, for the dependencies that the body names.
    pub download: Option<Vec<u8>>,
    /// Seconds between the 201 and the cancellation.
    pub cancel_after_s: Option<f64>,
    /// The trace interval for this job.
    pub interval_s: Option<u64>,
    /// The job's own repository.
    pub repository: PathBuf,
}

/// Prepared misbehaviour, used up as it happens.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Knobs {
    /// So many patches are answered 502.
    pub drop_trace: u64,
    /// This patch is answered 416 with half of what was stored.
    pub rewind_at_patch: Option<u64>,
    /// So many final updates are answered 202.
    pub put_202: u64,
    /// Patches seen.
    pub patches: u64,
}

impl Job {
    /// Whether the token is the job's and the job is in a runner's hands: what git and artifacts ask for. A job that is
    /// only offered is not: its token accepts, and nothing else.
    pub(crate) fn is_held_with(&self, token: &str) -> bool {
        !token.is_empty() && self.hold.token == token && self.status.is_executing()
    }

    /// What it is to use the token for anything but the acceptance while the job is in nobody's hands.
    pub(crate) fn misuse(&self) -> &'static str {
        if self.is_offered() { "before_accept" } else { "dead_token" }
    }

    /// Handed out but not accepted yet.
    pub(crate) fn is_offered(&self) -> bool {
        self.status == Status::Pending && self.hold.offered_until.is_some()
    }

    /// Waits for a runner and is in nobody's hands.
    pub(crate) fn is_free(&self) -> bool {
        self.status == Status::Pending && self.hold.offered_until.is_none()
    }
}

fn write_spec<S: Serializer>(spec: &Arc<JobSpec>, serializer: S) -> Result<S::Ok, S::Error> {
    spec.as_ref().serialize(serializer)
}

fn read_spec<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<JobSpec>, D::Error> {
    JobSpec::deserialize(deserializer).map(Arc::new)
}
