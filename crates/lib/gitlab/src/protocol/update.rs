//! `PUT jobs/:id`: accepting a job, keeping it alive, ending it.

use std::time::Duration;

use reqwest::Method;
use serde::Serialize;

use super::client::{Answer, Client};
use super::error::{JobStatus, Refusal, TransportError};
use super::info::Info;
use super::secret::Secret;

const OPERATION: &str = "PUT jobs/:id";

/// The state that a runner may report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum UpdateState {
    /// The job is accepted, or still runs.
    Running,
    /// It ended well.
    Success,
    /// It ended otherwise; a cancelled job too, which GitLab knows by itself.
    Failed,
}

/// Size and checksum of the whole log so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceSum {
    /// CRC32 (IEEE) of all bytes.
    pub crc32: u32,
    /// Their number.
    pub bytes: u64,
}

/// What to report.
#[derive(Clone, Copy, Debug)]
pub struct Update<'a> {
    /// The state.
    pub state: UpdateState,
    /// Why it failed, in a word that this GitLab knows.
    pub failure_reason: Option<&'a str>,
    /// The script's exit code; `None` for 0.
    pub exit_code: Option<i32>,
    /// The log's sum; `None` before there is one.
    pub trace: Option<TraceSum>,
}

impl Update<'_> {
    /// "It runs": the acceptance.
    pub const ACCEPT: Update<'static> =
        Update { state: UpdateState::Running, failure_reason: None, exit_code: None, trace: None };
    /// "Its runner cannot go on": the reason is one that every GitLab takes, and users name it in `retry: when:`.
    pub const SYSTEM_FAILURE: Update<'static> = Update {
        state: UpdateState::Failed,
        failure_reason: Some("runner_system_failure"),
        exit_code: None,
        trace: None,
    };
}

/// The update arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Updated {
    /// 200.
    Done {
        /// The job's state on the server.
        status: Option<JobStatus>,
        /// How often GitLab wants the log.
        interval: Option<Duration>,
    },
    /// 202 on a final update: GitLab is still storing the log; say it again after the interval.
    NotYet {
        /// How long to wait.
        interval: Option<Duration>,
    },
}

/// The update did not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum UpdateError {
    /// 403 or 404: the job is not ours, or over. Nothing more may be sent for it.
    #[error(transparent)]
    NotOurs(Refusal),
    /// 400, 409 and other 4xx: GitLab does not accept this step of this job.
    #[error(transparent)]
    Refused(Refusal),
    /// 412: the log that GitLab has is not the one that the sum describes; send it again from the start.
    #[error("GitLab's copy of the log is damaged (412)")]
    ResendTrace,
    /// 429, 408, 5xx: the same update may go through later.
    #[error(transparent)]
    Later(Refusal),
    /// No answer; it may have arrived.
    #[error(transparent)]
    Transport(#[from] TransportError),
}

#[derive(Serialize)]
struct Body<'a> {
    token: &'a str,
    state: UpdateState,
    info: &'a Info,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure_reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    checksum: Option<String>,
    output: Output,
}

#[derive(Serialize)]
struct Output {
    #[serde(skip_serializing_if = "Option::is_none")]
    checksum: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytesize: Option<u64>,
}

impl Client {
    /// Sends one update.
    ///
    /// # Errors
    /// See [`UpdateError`].
    pub async fn update_job(&self, id: u64, token: &Secret, update: Update<'_>) -> Result<Updated, UpdateError> {
        let checksum = update.trace.map(|sum| format!("crc32:{:08x}", sum.crc32));
        let body = Body {
            token: token.expose(),
            state: update.state,
            info: self.info(),
            failure_reason: update.failure_reason,
            exit_code: update.exit_code,
            checksum: checksum.clone(),
            output: Output { checksum, bytesize: update.trace.map(|sum| sum.bytes) },
        };
        let request = self.json(Method::PUT, &format!("jobs/{id}"), &body).header("JOB-TOKEN", token.expose());
        let answer = Answer::of(OPERATION, request).await?;
        match answer.status.as_u16() {
            200 => Ok(Updated::Done { status: answer.job_status(), interval: answer.trace_interval() }),
            202 => Ok(Updated::NotYet { interval: answer.trace_interval() }),
            403 | 404 => Err(UpdateError::NotOurs(answer.refusal())),
            412 => Err(UpdateError::ResendTrace),
            _ if answer.refusal().is_temporary() => Err(UpdateError::Later(answer.refusal())),
            _ => Err(UpdateError::Refused(answer.refusal())),
        }
    }
}
