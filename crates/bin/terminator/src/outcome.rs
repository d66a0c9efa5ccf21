//! What the terminator answers: the stop workflow's output.

use serde::Serialize;

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// What.
    pub outcome: Ended,
    /// Why.
    pub reason: String,
}

/// See [`Outcome`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// The job's row is done with: its launch is over.
    Retired,
    /// The launch reports and ends by itself; the sweep looks again.
    EndsItself,
    /// The launch's instance is ended, and nothing of it is left.
    Stopped,
    /// The launch's instance is ended, and its runner manager is still to be removed: the sweep does it.
    StopLeft,
    /// A launch whose invocation failed is closed, and its job waits for the next.
    Closed,
    /// AWS never started the launch: its job waits a little, at no attempt's cost.
    BackPressure,
    /// A launch is lost with the job that it ran.
    Lost,
    /// Nothing was to be done.
    Nothing,
}

impl Outcome {
    /// An outcome.
    #[must_use]
    pub fn new(outcome: Ended, reason: impl Into<String>) -> Self {
        Self { outcome, reason: reason.into() }
    }
}
