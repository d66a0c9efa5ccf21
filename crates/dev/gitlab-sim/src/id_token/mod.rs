//! `id_tokens`: what says to others who a job is, and the key by which they can check it.
//!
//! As GitLab's: a JWT of RS256 in a masked variable, and two addresses that whoever trusts this GitLab fetches. AWS does so
//! with what it knows as an identity provider.
//!
//! Source: GitLab's documentation of ID tokens (payload), OpenID Connect Discovery 1.0 and RFC 7517 (the addresses).

mod claims;
mod signer;

use serde_json::json;

pub(crate) use claims::payload;
pub(crate) use signer::{Signer, SignerError};

use crate::server::answer::Answer;
use crate::sim::Sim;

/// `GET /.well-known/openid-configuration`.
pub(crate) fn configuration(sim: &Sim) -> Answer {
    let url = &sim.place().url;
    let said = json!({
        "issuer": url,
        "jwks_uri": format!("{url}/oauth/discovery/keys"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
    });
    Answer::json(200, &said)
}

/// `GET /oauth/discovery/keys`.
pub(crate) fn keys(sim: &Sim) -> Answer {
    match sim.place().signer() {
        Ok(signer) => Answer::json(200, &json!({"keys": [signer.public()]})),
        Err(error) => Answer::error(500, error.to_string()),
    }
}
