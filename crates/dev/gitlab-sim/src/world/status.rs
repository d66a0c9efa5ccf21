//! The states of a job and of a pipeline.

use serde::{Deserialize, Serialize};

/// A job's state; pipelines use the same words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Status {
    /// It waits for its turn in the pipeline.
    Created,
    /// It waits for a person.
    Manual,
    /// It waits for a time.
    Scheduled,
    /// It waits for another job of its resource group.
    WaitingForResource,
    /// It waits for a runner.
    Pending,
    /// A runner has it.
    Running,
    /// A runner has it and was asked to stop.
    Canceling,
    /// Ended well.
    Success,
    /// Ended otherwise.
    Failed,
    /// A person ended it.
    Canceled,
    /// Its turn never came.
    Skipped,
}

impl Status {
    /// GitLab's word.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Manual => "manual",
            Self::Scheduled => "scheduled",
            Self::WaitingForResource => "waiting_for_resource",
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Canceling => "canceling",
            Self::Success => "success",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
            Self::Skipped => "skipped",
        }
    }

    /// Whether a runner may still speak for the job (`executing` in GitLab).
    pub(crate) fn is_executing(self) -> bool {
        matches!(self, Self::Running | Self::Canceling)
    }

    /// GitLab's `COMPLETED_STATUSES`.
    pub(crate) fn is_completed(self) -> bool {
        matches!(self, Self::Success | Self::Failed | Self::Canceled | Self::Skipped)
    }
}
