//! What can go wrong with any call: no answer, or a refusal.

use std::time::Duration;

/// The request got no answer, or one that could not be read. Whether GitLab acted on it is unknown.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The connection failed, broke or timed out.
    #[error("{operation}: no answer from GitLab")]
    NoAnswer {
        /// Method and path.
        operation: &'static str,
        /// Why, without the URL.
        #[source]
        source: reqwest::Error,
    },
    /// The answer's body is larger than any that the call can have.
    #[error("{operation}: the answer is larger than {limit} bytes")]
    TooLarge {
        /// Method and path.
        operation: &'static str,
        /// The limit in bytes.
        limit: usize,
    },
}

/// GitLab answered, but not with what was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{operation}: GitLab answered {status}{}", said(message))]
pub struct Refusal {
    /// Method and path.
    pub operation: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// GitLab's sentence, cut to 300 characters; empty when there was none.
    pub message: String,
    /// How long GitLab wants us to wait (`Retry-After`).
    pub retry_after: Option<Duration>,
    /// The job's state as GitLab sees it, on calls about a job.
    pub job_status: Option<JobStatus>,
}

impl Refusal {
    /// Whether the same request may be answered otherwise later: 408, 429 and all of 5xx.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        matches!(self.status, 408 | 429) || self.status >= 500
    }
}

/// `: message` when there is one.
fn said(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(": {message}") }
}

/// The `Job-Status` header: the job's state on the server, which decides whether to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobStatus {
    /// Go on.
    Running,
    /// Offered, not accepted yet (two-phase commit).
    Pending,
    /// A user cancelled: stop the script, run `after_script`, report.
    Canceling,
    /// Over, whatever we do: stop at once.
    Canceled,
    /// Over: GitLab failed it itself (its own timeout, the log's limit).
    Failed,
    /// Over: the end was reported already.
    Success,
    /// A state that this version does not know; nothing follows from it.
    Other(String),
}

impl JobStatus {
    /// Reads the header.
    #[must_use]
    pub fn from_wire(text: &str) -> Self {
        match text {
            "running" => Self::Running,
            "pending" => Self::Pending,
            "canceling" => Self::Canceling,
            "canceled" => Self::Canceled,
            "failed" => Self::Failed,
            "success" => Self::Success,
            other => Self::Other(other.to_owned()),
        }
    }

    /// Whether the job has ended on the server.
    #[must_use]
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Canceled | Self::Failed | Self::Success)
    }
}
