//! Signing keys and signatures of Standard Webhooks.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq as _};
use zeroize::Zeroizing;

/// What GitLab puts before a signing token.
const PREFIX: &str = "whsec_";
/// The only version there is: HMAC-SHA256.
const VERSION: &str = "v1";
/// Bytes of a key and of a digest.
const BYTES: usize = 32;

/// A signing token that cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is no signing token: whsec_ and the standard base64 of exactly 32 bytes, as GitLab shows it once")]
pub struct BadKey;

/// A signing key.
#[derive(Clone)]
pub struct SigningKey(Zeroizing<[u8; BYTES]>);

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[signing key]")
    }
}

impl SigningKey {
    /// Reads GitLab's signing token.
    ///
    /// # Errors
    /// Any other form: a key of another length would be a guess at what the operator meant.
    pub fn parse(token: &str) -> Result<Self, BadKey> {
        let text = token.strip_prefix(PREFIX).ok_or(BadKey)?;
        let bytes = Zeroizing::new(STANDARD.decode(text).map_err(|_| BadKey)?);
        let key: [u8; BYTES] = bytes.as_slice().try_into().map_err(|_| BadKey)?;
        Ok(Self(Zeroizing::new(key)))
    }

    /// The signature of a message: `v1,<base64>`. The simulator and tests sign with it.
    #[must_use]
    pub fn sign(&self, id: &str, timestamp: &str, body: &[u8]) -> String {
        format!("{VERSION},{}", STANDARD.encode(self.digest(id, timestamp, body)))
    }

    fn digest(&self, id: &str, timestamp: &str, body: &[u8]) -> [u8; BYTES] {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(self.0.as_slice()) else {
            unreachable!("HMAC takes a key of any length");
        };
        for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

/// A signed message as the headers describe it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Signed<'a> {
    pub(super) id: &'a str,
    pub(super) timestamp: &'a str,
    pub(super) digests: Vec<[u8; BYTES]>,
}

impl Signed<'_> {
    /// Whether `key` made one of the signatures. As fast for a near miss as for a far one.
    pub(super) fn fits(&self, key: &SigningKey, body: &[u8]) -> bool {
        let expected = key.digest(self.id, self.timestamp, body);
        self.digests.iter().fold(Choice::from(0), |found, digest| found | digest.ct_eq(&expected)).into()
    }
}

/// The digests of a `webhook-signature` header: `<version>,<base64>` separated by single spaces. Versions that we do not
/// know are left out. `None` when any entry is malformed, which is also what a header looks like whose two values were
/// joined.
pub(super) fn digests(header: &str) -> Option<Vec<[u8; BYTES]>> {
    let mut digests = Vec::new();
    for entry in header.split(' ') {
        let (version, text) = entry.split_once(',')?;
        let plain = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',');
        if !plain(version) || !plain(text) {
            return None;
        }
        if version == VERSION {
            digests.push(STANDARD.decode(text).ok()?.try_into().ok()?);
        }
    }
    Some(digests)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes 0 to 31.
    const TOKEN: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

    #[test]
    fn the_published_vector_is_signed_alike() {
        let key = SigningKey::parse(TOKEN).unwrap();
        let body = br#"{"object_kind":"build","build_id":1977}"#;
        let signature = key.sign("f5e5f430-f57b-4e6e-9fac-d9128cd7232f", "1744578123", body);
        assert_eq!(signature, "v1,JawtsnraI75fqBm55pTGkqdQcTp0sDEr38M2uhLV9Nk=");
    }

    #[test]
    fn only_gitlabs_form_is_a_key() {
        for bad in [
            "",
            "whsec_",
            "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
            "WHSEC_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
            "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
            "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHg==",
            "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gIQ==",
            "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8= ",
            "whsec_____",
        ] {
            assert_eq!(SigningKey::parse(bad).unwrap_err(), BadKey, "{bad}");
        }
        assert!(!format!("{:?}", SigningKey::parse(TOKEN).unwrap()).contains("AAEC"));
    }

    #[test]
    fn a_list_is_read_whole_or_refused_whole() {
        let entry = SigningKey::parse(TOKEN).unwrap().sign("i", "1", b"");
        let count = |header: String| digests(&header).map(|digests| digests.len());
        assert_eq!(count(entry.clone()), Some(1));
        assert_eq!(count(format!("v2,zzz {entry} v1a,x")), Some(1));
        assert_eq!(count(format!("{entry} {entry}")), Some(2));
        assert_eq!(count("v2,zzz".into()), Some(0));
        for bad in [
            String::new(),
            " ".into(),
            format!("{entry} "),
            format!(" {entry}"),
            format!("{entry}  {entry}"),
            format!("{entry},{entry}"),
            format!("{entry}, {entry}"),
            format!("v2,zzz,{entry}"),
            format!("v2,zzz, {entry}"),
            format!("{entry}\t"),
            "v1".into(),
            "v1,".into(),
            ",x".into(),
            "v1,AAAA".into(),
            "v1,not base64".into(),
            entry.replace('=', ""),
        ] {
            assert_eq!(digests(&bad), None, "{bad:?}");
        }
    }
}
