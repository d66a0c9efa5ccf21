//! What ends a call without an answer.

use runnerless_aws::{AwsError, TokenError};
use runnerless_lambda_kit::Named;

use crate::fields::BadField;

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request is not one of the documented ones.
    #[error("{0}; see docs/lambda-event.md")]
    BadRequest(#[from] BadField),
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
            Self::BadRequest(_) => "Claim.BadRequest",
            Self::Token(TokenError::Unread { source, .. }) => source.name(),
            Self::Token(_) => "Claim.NoToken",
            Self::Ledger(error) => error.name(),
        }
    }
}
