//! Why a call told nothing.

use std::time::Duration;

use crate::protocol::{Refusal, TransportError};

/// A call that told nothing.
#[derive(Debug, thiserror::Error)]
pub enum RestError {
    /// The API token cannot be sent: it holds a line end or another control character.
    #[error("the API token holds a character that no HTTP header can carry; write parameter ApiToken again")]
    Token,
    /// No answer.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// GitLab is overloaded or broken (408, 429, 5xx): ask later.
    #[error(transparent)]
    Later(Refusal),
    /// GitLab answered no: a wrong, expired or narrow token (401, 403), a redirect.
    #[error(transparent)]
    Refused(Refusal),
    /// A 200 that is not what was asked for, such as the page of a proxy.
    #[error("{operation}: the answer cannot be read")]
    Unreadable {
        /// Method and path.
        operation: &'static str,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
}

impl RestError {
    /// The name under which it leaves a function; state machines match on it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Transport(_) | Self::Later(_) | Self::Unreadable { .. } => "GitLab.Unavailable",
            Self::Token | Self::Refused(_) => "GitLab.Refused",
        }
    }

    /// How long GitLab wants us to wait (`Retry-After`).
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Later(refusal) | Self::Refused(refusal) => refusal.retry_after,
            Self::Token | Self::Transport(_) | Self::Unreadable { .. } => None,
        }
    }
}
