//! What an invocation answers. Nobody waits for it; it is there for people who invoke an executor by hand.

use serde::Serialize;

/// How an invocation ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// How.
    pub outcome: Ended,
    /// The job that GitLab handed out, `<project id>/<job id>`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// Why, where that is not obvious.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// See [`Outcome`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// The launch was not this invocation's to serve: GitLab was not called.
    Gone,
    /// A job ran to its reported end, whatever that was.
    Ran,
    /// A job ran until the launch was declared lost or stopped by others.
    Lost,
    /// A job was handed out and given back.
    GaveBack,
    /// GitLab had no job.
    NoJob,
    /// GitLab does not accept the lane's token.
    TokenRefused,
    /// GitLab could not be reached.
    Unreachable,
    /// The process was told to end before a job came.
    Stopped,
}

impl Ended {
    /// The name in the answer, for logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::Ran => "ran",
            Self::Lost => "lost",
            Self::GaveBack => "gave_back",
            Self::NoJob => "no_job",
            Self::TokenRefused => "token_refused",
            Self::Unreachable => "unreachable",
            Self::Stopped => "stopped",
        }
    }
}

impl Outcome {
    /// One without a job.
    #[must_use]
    pub fn without_job(outcome: Ended, reason: impl Into<String>) -> Self {
        Self { outcome, job: None, reason: Some(reason.into()) }
    }
}
