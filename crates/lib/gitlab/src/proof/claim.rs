//! What a request says about itself, before anything is checked against a secret.

use runnerless_core::time::{Millis, Timestamp};

use super::headers::{Header, Headers};
use super::refusal::Refusal;
use super::signature::{Signed, digests};

/// How far the signed time may be from ours: the tolerance of Standard Webhooks' own libraries. GitLab documents no
/// number. Inside it a message can be replayed, which changes nothing: what a hook records is recorded once.
pub const TOLERANCE: Millis = Millis::minutes(5);

/// Longest `webhook-id`; GitLab's is a UUID.
const ID_BYTES: usize = 255;
/// Most digits of a time in seconds: enough for thirty thousand years.
const TIME_DIGITS: usize = 12;

const ID: &str = "webhook-id";
const TIMESTAMP: &str = "webhook-timestamp";
const SIGNATURE: &str = "webhook-signature";
const TOKEN: &str = "x-gitlab-token";

/// The kind of proof that a request offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Claim<'a> {
    /// A signature, fresh and well-formed.
    Signed(Signed<'a>),
    /// A token.
    Token(&'a str),
}

impl<'a> Claim<'a> {
    /// Reads the headers. `checks_signatures` says whether there is a signing key at all; without one a well-formed
    /// signature proves nothing to us, and the token beside it may.
    pub(super) fn of(headers: &'a Headers, checks_signatures: bool, now: Timestamp) -> Result<Self, Refusal> {
        let signature = match headers.get(SIGNATURE) {
            Header::Absent => return token(headers),
            Header::Repeated => return Err(Refusal::Repeated(SIGNATURE)),
            Header::Once(text) => digests(text).ok_or(Refusal::Malformed(SIGNATURE))?,
        };
        if !checks_signatures {
            return token(headers)
                .map_err(|refusal| if refusal == Refusal::NoProof { Refusal::NoKey } else { refusal });
        }
        let timestamp = once(headers, TIMESTAMP, is_time)?;
        let id = once(headers, ID, is_id)?;
        fresh(timestamp, now)?;
        Ok(Self::Signed(Signed { id, timestamp, digests: signature }))
    }
}

fn token(headers: &Headers) -> Result<Claim<'_>, Refusal> {
    match headers.get(TOKEN) {
        Header::Absent => Err(Refusal::NoProof),
        Header::Repeated => Err(Refusal::Repeated(TOKEN)),
        Header::Once(text) if text.trim().is_empty() => Err(Refusal::Malformed(TOKEN)),
        Header::Once(text) => Ok(Claim::Token(text)),
    }
}

fn once<'a>(headers: &'a Headers, name: &'static str, fits: fn(&str) -> bool) -> Result<&'a str, Refusal> {
    match headers.get(name) {
        Header::Once(text) if fits(text) => Ok(text),
        Header::Repeated => Err(Refusal::Repeated(name)),
        Header::Absent | Header::Once(_) => Err(Refusal::Malformed(name)),
    }
}

/// No full stop, which ends the id in the signed text, and no comma, which joins a header that was sent twice.
fn is_id(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'.' | b',');
    (1..=ID_BYTES).contains(&text.len()) && text.bytes().all(plain)
}

fn is_time(text: &str) -> bool {
    (1..=TIME_DIGITS).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn fresh(timestamp: &str, now: Timestamp) -> Result<(), Refusal> {
    let sent: i64 = timestamp.parse().map_err(|_| Refusal::Malformed(TIMESTAMP))?;
    let distance = now.epoch_secs().abs_diff(sent);
    if distance <= TOLERANCE.0.unsigned_abs() / 1000 { Ok(()) } else { Err(Refusal::Stale(distance)) }
}
