//! Why a request is not believed.

/// Why a request is not believed. For the log; the caller learns no more than that it was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Neither a secret token nor a signing key that can be used is in Parameter Store.
    #[error("no secret token and no signing key is configured; `runnerless secrets put` writes them")]
    NothingConfigured,
    /// Neither a signature nor a token was sent.
    #[error("the request has neither webhook-signature nor X-Gitlab-Token")]
    NoProof,
    /// A signature was sent alone, and there is no signing key to check it with.
    #[error("the request is signed, and no signing key is configured")]
    NoKey,
    /// A header of the proof was sent more than once.
    #[error("header {0} was sent more than once")]
    Repeated(&'static str),
    /// A header of the proof is absent, empty or not of its form.
    #[error("header {0} is absent, empty or malformed")]
    Malformed(&'static str),
    /// The signed time is too far from now.
    #[error("webhook-timestamp is {0} s from now; more than five minutes are refused")]
    Stale(u64),
    /// No signing key that we hold made this signature.
    #[error("webhook-signature fits no signing key")]
    WrongSignature,
    /// The token is none that we hold.
    #[error("X-Gitlab-Token is not the secret token")]
    WrongToken,
    /// The token is right, and a signature is demanded.
    #[error("a token without a signature, while a signing key is configured; AllowTokenWithSigningKey would take it")]
    TokenAlone,
}

impl Refusal {
    /// A short name for metrics and logs.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::NothingConfigured => "nothing_configured",
            Self::NoProof => "no_proof",
            Self::NoKey => "no_key",
            Self::Repeated(_) => "repeated_header",
            Self::Malformed(_) => "malformed_header",
            Self::Stale(_) => "stale",
            Self::WrongSignature => "wrong_signature",
            Self::WrongToken => "wrong_token",
            Self::TokenAlone => "token_alone",
        }
    }

    /// Whether newer credentials could decide otherwise.
    #[must_use]
    pub const fn may_be_rotation(&self) -> bool {
        match self {
            Self::NothingConfigured | Self::NoKey | Self::WrongSignature | Self::WrongToken | Self::TokenAlone => true,
            Self::NoProof | Self::Repeated(_) | Self::Malformed(_) | Self::Stale(_) => false,
        }
    }
}
