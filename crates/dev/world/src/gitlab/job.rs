//! A job and where it stands.

use std::sync::Arc;

use runnerless_core::id::JobKey;
use runnerless_core::status::JobStatus;
use runnerless_core::time::Timestamp;

use super::pipeline::JobSpec;
use super::referee::History;

/// GitLab's states, without those that nothing here reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Created,
    Pending,
    Running,
    Canceling,
    Success,
    Failed,
    Canceled,
    Skipped,
}

impl Status {
    pub(super) const fn is_over(self) -> bool {
        matches!(self, Self::Success | Self::Failed | Self::Canceled | Self::Skipped)
    }

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Canceling => "canceling",
            Self::Success => "success",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
            Self::Skipped => "skipped",
        }
    }

    pub(super) fn told(self) -> JobStatus {
        JobStatus::parse(self.as_str())
    }
}

/// The runner that has a job, or is offered it.
#[derive(Clone, Debug)]
pub(super) struct Hold {
    pub(super) runner: u64,
    pub(super) system_id: String,
    /// The job's token, as long as this runner has it.
    pub(super) token: String,
    /// Until when it may be accepted; `None` once it is.
    pub(super) offered_until: Option<Timestamp>,
    /// Whether the runner is asked to stop by `canceling`.
    pub(super) graceful: bool,
}

/// One job.
#[derive(Clone, Debug)]
pub(super) struct Job {
    pub(super) key: JobKey,
    pub(super) pipeline: u64,
    /// Its place among the pipeline's jobs.
    pub(super) slot: usize,
    pub(super) spec: Arc<JobSpec>,
    /// How many earlier jobs had its place.
    pub(super) retries: u32,
    pub(super) status: Status,
    pub(super) hold: Option<Hold>,
    /// The tokens of offers that ran out.
    pub(super) expired_tokens: Vec<String>,
    pub(super) created_at: Timestamp,
    pub(super) pending_at: Option<Timestamp>,
    pub(super) started_at: Option<Timestamp>,
    pub(super) finished_at: Option<Timestamp>,
    /// The last sign of life that was written down.
    pub(super) touched_at: Timestamp,
    pub(super) failure_reason: Option<&'static str>,
    pub(super) history: History,
}

impl Job {
    /// It waits, or is only offered: it may be accepted by whom it was offered to, and no report of its end is taken.
    pub(super) fn is_offered(&self) -> bool {
        self.status == Status::Pending && self.hold.is_some()
    }
}
