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
    /// GitLab does not list by keyset pages (400, 405, or pages of another kind), or not from this cursor on.
    #[error("no page of the list: {refusal}")]
    NoPages {
        /// What it said.
        refusal: Refusal,
        /// Whether the first page was asked for; else the cursor may be at fault.
        first: bool,
    },
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
            Self::Token | Self::Refused(Refusal { status: 401, .. }) => "GitLab.TokenRefused",
            Self::Refused(_) => "GitLab.Refused",
            Self::NoPages { first: true, .. } => "GitLab.NoKeysetPages",
            Self::NoPages { first: false, .. } => "GitLab.CursorRefused",
        }
    }

    /// Whether the API token is wrong or has expired: another one may do.
    #[must_use]
    pub const fn is_of_token(&self) -> bool {
        matches!(self, Self::Token | Self::Refused(Refusal { status: 401, .. }))
    }

    /// Whether the same call may be answered later.
    #[must_use]
    pub const fn is_temporary(&self) -> bool {
        matches!(self, Self::Transport(_) | Self::Later(_) | Self::Unreadable { .. })
    }

    /// How long GitLab wants us to wait (`Retry-After`).
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Later(refusal) | Self::Refused(refusal) | Self::NoPages { refusal, .. } => refusal.retry_after,
            Self::Token | Self::Transport(_) | Self::Unreadable { .. } => None,
        }
    }
}
