//! The Standard Webhooks signature (contract, section 1.2).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The key of a signing token: `whsec_` and padded base64 of exactly 32 bytes.
pub(crate) fn key(token: &str) -> Option<Vec<u8>> {
    let bytes = STANDARD.decode(token.strip_prefix("whsec_")?).ok()?;
    (bytes.len() == 32).then_some(bytes)
}

/// The `webhook-signature` header: `v1,` and base64 of HMAC-SHA256 over `id.timestamp.body`. `None` for a broken token.
pub(crate) fn sign(token: &str, id: &str, timestamp: u64, body: &str) -> Option<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(&key(token)?).ok()?;
    mac.update(format!("{id}.{timestamp}.").as_bytes());
    mac.update(body.as_bytes());
    Some(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

    #[test]
    fn gitlabs_vector() {
        let got = sign(
            TOKEN,
            "f5e5f430-f57b-4e6e-9fac-d9128cd7232f",
            1_744_578_123,
            r#"{"object_kind":"build","build_id":1977}"#,
        );
        assert_eq!(got.as_deref(), Some("v1,JawtsnraI75fqBm55pTGkqdQcTp0sDEr38M2uhLV9Nk="));
    }

    #[test]
    fn other_lengths_and_spellings_are_no_tokens() {
        for bad in [
            "",
            "whsec_",
            "whsec_AAEC",
            "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
            "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
        ] {
            assert_eq!(key(bad), None, "{bad}");
        }
        assert!(key(TOKEN).is_some());
    }
}
