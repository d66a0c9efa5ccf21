//! What is an executor's own failure. A job that failed is none: the job's author is told by GitLab.

use runnerless_aws::{AwsError, TokenError};
use runnerless_core::event::BadEvent;
use runnerless_engine::PlaceError;
use runnerless_lambda_kit::Named;

use crate::sandbox::NotClean;

/// Why an invocation failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It was started with something else than a launch event.
    #[error(transparent)]
    BadEvent(#[from] BadEvent),
    /// Whether the launch began is not known, so nobody was asked for a job. The terminator tells this name from the
    /// failure of a launch that began.
    #[error("the launch could not begin")]
    NotBegun(#[source] AwsError),
    /// This process is to serve one tenant, and the invocation names none.
    #[error(
        "the invocation has no tenant id, and this function is to give each launch an environment of its own; deploy it \
         with tenant isolation and load its mapping rows again, or set ExecutorSandbox to shared"
    )]
    NoTenant,
    /// This process serves another tenant, or the tenant is not the launch.
    #[error(
        "the invocation's tenant id is not its launch's id, or this environment belongs to another launch; only the router \
         and the reconciler may invoke this function, each launch under a tenant id of its own"
    )]
    WrongTenant,
    /// This process still has something of an earlier job.
    #[error("this shared environment cannot be made clean for another job")]
    NotClean(#[from] NotClean),
    /// The event names another GitLab than this function's.
    #[error(
        "the event names another GitLab than RUNNERLESS_GITLAB_URL, {0}; router and executor need the same GitLabUrl"
    )]
    WrongGitLab(String),
    /// GitLab's client could not be set up.
    #[error("GitLab cannot be called: {0}")]
    Client(String),
    /// The lane has no token to ask with.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The work folder could not be made.
    #[error("the job's work folder could not be made")]
    WorkFolder(#[from] PlaceError),
    /// The process could not be made safe for a job.
    #[error("no job was asked for: {0}")]
    Unsafe(String),
    /// A job ended and GitLab does not know how.
    #[error("job {job} ended and GitLab was not told: {why}")]
    NotReported {
        /// The job.
        job: String,
        /// The last trouble.
        why: String,
    },
}

impl Named for Error {
    fn name(&self) -> &'static str {
        match self {
            Self::BadEvent(_) => "Executor.BadEvent",
            Self::NotBegun(_) => "Executor.NotBegun",
            Self::NoTenant => "Executor.NoTenant",
            Self::WrongTenant => "Executor.WrongTenant",
            Self::NotClean(_) => "Executor.NotClean",
            Self::WrongGitLab(_) => "Executor.WrongGitLab",
            Self::Client(_) => "Executor.Client",
            Self::Token(TokenError::Unread { .. }) => "Executor.TokenUnread",
            Self::Token(_) => "Executor.NoToken",
            Self::WorkFolder(_) => "Executor.WorkFolder",
            Self::Unsafe(_) => "Executor.Unsafe",
            Self::NotReported { .. } => "Executor.NotReported",
        }
    }
}
