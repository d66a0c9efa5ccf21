//! What ends a request without an answer of the ledger.

use runnerless_aws::{AwsError, NoNonce, TokenError};
use runnerless_claim::fields::BadField;
use runnerless_lambda_kit::Named;

/// Why a request has no answer of the ledger.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A field is missing or wrong.
    #[error("{0}; see docs/instances.md")]
    BadRequest(BadField),
    /// The body is no JSON.
    #[error("the body must be a JSON object; see docs/instances.md")]
    NoJson,
    /// The body is longer than any of ours.
    #[error("the body is too large")]
    TooLarge,
    /// The lane has no token to ask with.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// No nonce could be made.
    #[error(transparent)]
    Nonce(#[from] NoNonce),
    /// The ledger, or EC2, is out of reach or refuses.
    #[error(transparent)]
    Aws(#[from] AwsError),
}

impl Error {
    /// Whether the same call may be answered later.
    #[must_use]
    pub const fn passes(&self) -> bool {
        let cause = match self {
            Self::Aws(error) | Self::Token(TokenError::Unread { source: error, .. }) => error,
            _ => return false,
        };
        matches!(cause, AwsError::Throttled { .. } | AwsError::Unavailable { .. } | AwsError::Contended(_))
    }
}

impl Named for Error {
    fn name(&self) -> &'static str {
        match self {
            Self::BadRequest(_) | Self::NoJson | Self::TooLarge => "Checkin.BadRequest",
            Self::Token(TokenError::Unread { source, .. }) | Self::Aws(source) => source.name(),
            Self::Token(_) => "Checkin.NoToken",
            Self::Nonce(_) => "Checkin.NoNonce",
        }
    }
}
