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
    /// The ledger is out of reach, or EC2 did not take what it was asked.
    #[error(transparent)]
    Aws(#[from] AwsError),
}

impl Named for Error {
    fn name(&self) -> &'static str {
        match self {
            Self::BadRequest { .. } => "Terminator.BadRequest",
            Self::Aws(error) => error.name(),
        }
    }
}
