//! What is an executor's own failure. A job that failed is none: the job's author is told by GitLab.

use runnerless_aws::{AwsError, TokenError};
use runnerless_core::event::BadEvent;
use runnerless_engine::PlaceError;
use runnerless_lambda_kit::Named;

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
