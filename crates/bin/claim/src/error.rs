//! What ends a call without an answer.

use runnerless_aws::{AwsError, TokenError};
use runnerless_lambda_kit::Named;

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request is not one of the documented ones. The values of its fields are not repeated: one of them is secret.
    #[error("{field} must be {what}; see docs/lambda-event.md")]
    BadRequest {
        /// The field, by its path in the request.
        field: &'static str,
        /// What it must be.
        what: &'static str,
    },
    /// The lane has no token to ask with.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The ledger is out of reach: the same call may be made again.
    #[error(transparent)]
    Ledger(#[from] AwsError),
}

impl Named for Error {
    fn name(&self) -> &'static str {
        match self {
            Self::BadRequest { .. } => "Claim.BadRequest",
            Self::Token(TokenError::Unread { source, .. }) => source.name(),
            Self::Token(_) => "Claim.NoToken",
            Self::Ledger(error) => error.name(),
        }
    }
}
