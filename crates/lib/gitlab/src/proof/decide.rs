//! The decision.

use runnerless_core::time::Timestamp;

use super::claim::Claim;
use super::credentials::{CredentialSet, Credentials};
use super::headers::Headers;
use super::refusal::Refusal;
use super::scope::Scope;

/// What a right token without a signature is worth in a credential set that has a signing key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenAlone {
    /// Nothing: whoever learned the token would otherwise walk round the signature.
    Refused,
    /// As much as a signature, while hooks move over.
    Allowed,
}

/// How a request was proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// By a signature over its body.
    Signature,
    /// By the secret token.
    Token,
}

impl Method {
    /// The name in logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Signature => "signature",
            Self::Token => "token",
        }
    }
}

/// A request was proved to be GitLab's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// How.
    pub method: Method,
    scopes: Vec<Scope>,
}

impl Proof {
    /// Whether the proof counts for this project.
    #[must_use]
    pub fn covers(&self, project_path: &str) -> bool {
        self.scopes.iter().any(|scope| scope.covers(project_path))
    }
}

/// Proves a request with its raw body.
///
/// # Errors
/// The request is not proved, see [`Refusal`].
pub fn prove(
    headers: &Headers,
    body: &[u8],
    credentials: &Credentials,
    token_alone: TokenAlone,
    now: Timestamp,
) -> Result<Proof, Refusal> {
    match claim(headers, credentials, now)? {
        Claim::Signed(signed) => {
            let fits = |set: &CredentialSet| set.keys.iter().fold(false, |found, key| found | signed.fits(key, body));
            let scopes = scopes(credentials.sets().filter(|set| fits(set)));
            if scopes.is_empty() {
                Err(Refusal::WrongSignature)
            } else {
                Ok(Proof { method: Method::Signature, scopes })
            }
        }
        Claim::Token(token) => by_token(token, credentials, token_alone),
    }
}

/// The cheap filter for who cannot see the body: the token as in [`prove`], and of a signature only that its headers are
/// there, well-formed and fresh. Everything that [`prove`] believes passes.
///
/// # Errors
/// A request that [`prove`] would refuse, whatever its body.
pub fn filter(
    headers: &Headers,
    credentials: &Credentials,
    token_alone: TokenAlone,
    now: Timestamp,
) -> Result<Method, Refusal> {
    match claim(headers, credentials, now)? {
        Claim::Signed(_) => Ok(Method::Signature),
        Claim::Token(token) => by_token(token, credentials, token_alone).map(|proof| proof.method),
    }
}

fn claim<'a>(headers: &'a Headers, credentials: &Credentials, now: Timestamp) -> Result<Claim<'a>, Refusal> {
    if credentials.is_empty() {
        return Err(Refusal::NothingConfigured);
    }
    Claim::of(headers, credentials.check_signatures(), now)
}

fn by_token(token: &str, credentials: &Credentials, token_alone: TokenAlone) -> Result<Proof, Refusal> {
    let known: Vec<&CredentialSet> = credentials.sets().filter(|set| set.has_token(token)).collect();
    if known.is_empty() {
        return Err(Refusal::WrongToken);
    }
    let enough = |set: &&CredentialSet| !set.signs || token_alone == TokenAlone::Allowed;
    let scopes = scopes(known.into_iter().filter(enough));
    if scopes.is_empty() { Err(Refusal::TokenAlone) } else { Ok(Proof { method: Method::Token, scopes }) }
}

fn scopes<'a>(sets: impl Iterator<Item = &'a CredentialSet>) -> Vec<Scope> {
    sets.map(|set| set.scope.clone()).collect()
}

#[cfg(test)]
mod tests;
