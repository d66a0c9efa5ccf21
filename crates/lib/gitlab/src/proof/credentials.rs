//! The credentials of the front door, as Parameter Store's branch `ingress` names them.

use std::collections::BTreeMap;
use std::fmt;

use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq as _};

use super::scope::Scope;
use super::signature::SigningKey;

/// The parameters of a set that hold a token; both are valid at a time, so that a token can be changed without a gap.
const TOKENS: [&str; 2] = ["SecretToken", "SecretTokenPrevious"];
/// The same for signing keys.
const KEYS: [&str; 2] = ["SigningToken", "SigningTokenPrevious"];
/// What binds a further set.
const PREFIXES: &str = "Prefixes";
/// Where further sets are: `hooks/<name>/...`.
const HOOKS: &str = "hooks/";

/// A parameter that cannot be used, by its name below `ingress`. It is reported and proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("parameter {name} {why}")]
pub struct Unusable {
    /// Its name.
    pub name: String,
    /// What is wrong with it.
    pub why: &'static str,
}

/// What may prove a request.
#[derive(Clone, Default)]
pub struct Credentials {
    sets: Vec<CredentialSet>,
    unusable: Vec<Unusable>,
}

/// Tokens and keys that speak for the same projects.
#[derive(Clone)]
pub(super) struct CredentialSet {
    pub(super) scope: Scope,
    pub(super) keys: Vec<SigningKey>,
    /// Whether a signing key was meant to be here. A malformed one counts: a typing error must not turn signatures off.
    pub(super) signs: bool,
    tokens: Vec<[u8; 32]>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("sets", &self.sets.len()).field("unusable", &self.unusable).finish()
    }
}

impl Credentials {
    /// Reads the branch: `names` are the parameters below it, `value` gives a parameter's text.
    ///
    /// `SecretToken`, `SecretTokenPrevious`, `SigningToken` and `SigningTokenPrevious` speak for the whole instance. The
    /// same four below `hooks/<name>/` speak for the projects and groups that `hooks/<name>/Prefixes` lists; without
    /// that list they speak for nothing.
    #[must_use]
    pub fn read<'a>(names: impl Iterator<Item = &'a str>, value: impl Fn(&str) -> Option<&'a str>) -> Self {
        let mut parameters: BTreeMap<&str, Vec<(&str, &str)>> = BTreeMap::new();
        let mut credentials = Self::default();
        for name in names {
            let Some(text) = value(name).map(str::trim).filter(|text| !text.is_empty()) else { continue };
            match split(name) {
                Some((set, kind)) => parameters.entry(set).or_default().push((kind, text)),
                None => credentials.report(name, "is none that the front door reads; is its name mistyped?"),
            }
        }
        for (set, parameters) in parameters {
            credentials.add(set, &parameters);
        }
        credentials
    }

    fn add(&mut self, set: &str, parameters: &[(&str, &str)]) {
        let get = |kind: &str| parameters.iter().find(|(name, _)| *name == kind).map(|(_, text)| *text);
        let scope = match get(PREFIXES) {
            _ if set.is_empty() => Scope::Everything,
            Some(list) => Scope::below(list),
            None => {
                self.report(&format!("{set}{PREFIXES}"), "is missing; the set's credentials are not used without it");
                return;
            }
        };
        let mut keys = Vec::new();
        for (name, text) in KEYS.iter().filter_map(|kind| Some((format!("{set}{kind}"), get(kind)?))) {
            match SigningKey::parse(text) {
                Ok(key) => keys.push(key),
                Err(_) => self.report(&name, "is not whsec_ and the standard base64 of exactly 32 bytes"),
            }
        }
        let tokens = TOKENS.iter().filter_map(|kind| get(kind)).map(digest).collect();
        let signs = KEYS.iter().any(|kind| get(kind).is_some());
        self.sets.push(CredentialSet { scope, keys, signs, tokens });
    }

    fn report(&mut self, name: &str, why: &'static str) {
        self.unusable.push(Unusable { name: name.chars().take(200).collect(), why });
    }

    /// Parameters that are there and cannot be used.
    #[must_use]
    pub fn unusable(&self) -> &[Unusable] {
        &self.unusable
    }

    /// Whether there is nothing that could prove a request.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sets.iter().all(|set| set.keys.is_empty() && set.tokens.is_empty())
    }

    /// Whether any set is meant to check signatures.
    pub(super) fn check_signatures(&self) -> bool {
        self.sets.iter().any(|set| set.signs)
    }

    pub(super) fn sets(&self) -> impl Iterator<Item = &CredentialSet> {
        self.sets.iter()
    }
}

impl CredentialSet {
    /// Whether this is one of the set's tokens. Digests are compared, all of them and in constant time: neither the
    /// length of a token nor how much of it fits can be measured.
    pub(super) fn has_token(&self, token: &str) -> bool {
        let sent = digest(token);
        self.tokens.iter().fold(Choice::from(0), |found, held| found | held.ct_eq(&sent)).into()
    }
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// A parameter's set (`hooks/<name>/`, or empty for the instance's) and kind.
fn split(name: &str) -> Option<(&str, &str)> {
    let (set, kind) = match name.rfind('/') {
        Some(at) => name.split_at(at + 1),
        None => ("", name),
    };
    let bound = set.strip_prefix(HOOKS).and_then(|rest| rest.strip_suffix('/'));
    let known = TOKENS.contains(&kind) || KEYS.contains(&kind) || (kind == PREFIXES && bound.is_some());
    let placed = set.is_empty() || bound.is_some_and(|hook| !hook.is_empty() && !hook.contains('/'));
    (known && placed).then_some((set, kind))
}
