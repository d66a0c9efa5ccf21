//! `PATCH jobs/:id/trace`: sending a part of the log.

use std::time::Duration;

use reqwest::Method;
use reqwest::header::{CONTENT_RANGE, CONTENT_TYPE};

use super::client::{Answer, Client};
use super::error::{JobStatus, Refusal, TransportError};
use super::secret::Secret;

const OPERATION: &str = "PATCH jobs/:id/trace";

/// The part arrived, or GitLab says where it wants us to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Patched {
    /// 202: stored.
    Stored {
        /// How many bytes GitLab has now; `None` when it did not say, then all that was sent counts.
        total: Option<u64>,
        /// The job's state on the server.
        status: Option<JobStatus>,
        /// How often GitLab wants the log.
        interval: Option<Duration>,
    },
    /// 416: it has another number of bytes than we think; go on from there, after one interval.
    Elsewhere {
        /// The offset to go on from.
        total: u64,
        /// How often GitLab wants the log.
        interval: Option<Duration>,
    },
}

/// The part was not stored.
#[derive(Debug, thiserror::Error)]
pub enum PatchError {
    /// 403: the job is over on the server (cancelled, failed, log too large). Stop at once.
    #[error(transparent)]
    Over(Refusal),
    /// 404: there is no such job or log; sending more is pointless.
    #[error(transparent)]
    NoLog(Refusal),
    /// Anything else that GitLab answers: try again at the next interval.
    #[error(transparent)]
    Later(Refusal),
    /// No answer; the part may have been stored.
    #[error(transparent)]
    Transport(#[from] TransportError),
}

impl Client {
    /// Sends the bytes that start at `offset` of the log. `part` must not be empty: its range could not be written.
    /// `debug_trace` tells GitLab that the log may show more than usual, so that it shows it to fewer people.
    ///
    /// # Errors
    /// See [`PatchError`].
    pub async fn patch_trace(
        &self,
        id: u64,
        token: &Secret,
        offset: u64,
        part: Vec<u8>,
        debug_trace: bool,
    ) -> Result<Patched, PatchError> {
        debug_assert!(!part.is_empty(), "an empty part has no range");
        // Both ends are inclusive and there is no unit, unlike in RFC 9110.
        let range = format!("{offset}-{}", offset + (part.len() as u64).saturating_sub(1));
        let query = if debug_trace { "debug_trace=true" } else { "debug_trace=false" };
        let request = self
            .request(Method::PATCH, &format!("jobs/{id}/trace"), Some(query))
            .header("JOB-TOKEN", token.expose())
            .header(CONTENT_TYPE, "text/plain")
            .header(CONTENT_RANGE, range)
            .body(part);
        let answer = Answer::of(OPERATION, request).await?;
        match (answer.status.as_u16(), answer.stored_bytes()) {
            (202, total) => {
                Ok(Patched::Stored { total, status: answer.job_status(), interval: answer.trace_interval() })
            }
            (416, Some(total)) => Ok(Patched::Elsewhere { total, interval: answer.trace_interval() }),
            (403, _) => Err(PatchError::Over(answer.refusal())),
            (404, _) => Err(PatchError::NoLog(answer.refusal())),
            _ => Err(PatchError::Later(answer.refusal())),
        }
    }
}
