//! What ends an invocation without an outcome.

use runnerless_aws::AwsError;
use runnerless_lambda_kit::Named;

/// Why an invocation failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The event is neither a request nor a failure record.
    #[error("{field} must be {what}")]
    BadRequest {
        /// The field, by its path in the event.
        field: &'static str,
        /// What it must be.
        what: &'static str,
    },
    /// The launch runs on an instance, and this version has none: the row is another version's.
    #[error("instance {0} is not ended: this version runs no instances; its row was written by another")]
    NoInstances(String),
    /// The ledger is out of reach.
    #[error(transparent)]
    Ledger(#[from] AwsError),
}

impl Named for Error {
    fn name(&self) -> &'static str {
        match self {
            Self::BadRequest { .. } => "Terminator.BadRequest",
            Self::NoInstances(_) => "Terminator.NoInstances",
            Self::Ledger(error) => error.name(),
        }
    }
}
