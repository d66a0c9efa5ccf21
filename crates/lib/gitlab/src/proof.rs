//! The proof that a request is GitLab's: a signature over the raw body, or the secret token.
//!
//! Pure: headers, body, credentials and `now` in, a decision out. The rules, in their order:
//!
//! 1. Without any credential everything is refused.
//! 2. A `webhook-signature` header that is there is the proof that is asked for. Empty, malformed, sent twice, stale or
//!    wrong, it is a refusal, and the token beside it changes nothing. Only where no signing key is configured at all
//!    does a well-formed signature, which nobody can check, leave the proof to the token.
//! 3. Without that header the secret token is the proof. A credential set that has a signing key does not take its token
//!    alone, unless the operator allows it for the time of moving over.
//! 4. A credential set may be bound to projects and groups: what it proves counts for those only.
//!
//! Signatures are those of [Standard Webhooks](https://www.standardwebhooks.com), which GitLab sends since 19.0.

mod claim;
mod credentials;
mod decide;
mod headers;
mod refusal;
mod scope;
mod signature;

pub use claim::TOLERANCE;
pub use credentials::{Credentials, Unusable};
pub use decide::{Method, Proof, TokenAlone, filter, prove};
pub use headers::{Header, Headers};
pub use refusal::Refusal;
pub use scope::Scope;
pub use signature::{BadKey, SigningKey};
