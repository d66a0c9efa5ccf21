//! A case made into the request that is sent: words filled in, signed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use sha2::Sha256;

use super::case::{Body, Case, Key, Sign};
use crate::seed::Hook;

/// What GitLab puts before a signing token.
const PREFIX: &str = "whsec_";

/// What cases may name without knowing it.
#[derive(Clone, Debug)]
pub(super) struct Secrets {
    pub(super) token: String,
    pub(super) token_previous: String,
    pub(super) current: [u8; 32],
    pub(super) previous: [u8; 32],
    pub(super) wrong: [u8; 32],
}

impl Secrets {
    /// The stack's, and others that it does not hold yet. `None` when the stack's signing token is none.
    pub(super) fn new(hook: &Hook) -> Result<Option<Self>, getrandom::Error> {
        let (mut old, mut previous, mut wrong) = ([0; 32], [0; 32], [0; 32]);
        for bytes in [&mut old, &mut previous, &mut wrong] {
            getrandom::fill(bytes)?;
        }
        let key = hook.signing_token.strip_prefix(PREFIX).and_then(|text| STANDARD.decode(text).ok());
        let current = key.and_then(|bytes| bytes.try_into().ok());
        let (token, token_previous) = (hook.secret_token.clone(), hex::encode(old));
        Ok(current.map(|current| Self { token, token_previous, current, previous, wrong }))
    }
}

/// A key as GitLab shows it.
pub(super) fn signing_token(key: &[u8; 32]) -> String {
    format!("{PREFIX}{}", STANDARD.encode(key))
}

/// A request, byte by byte.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

/// A message's signature and what it covers beside the body.
struct Signed {
    id: String,
    timestamp: String,
    signature: String,
}

impl Request {
    /// The request of `case`, sent at `now` to a stack of `instance`. `fresh` is a number that no other request has.
    pub(super) fn of(case: &Case, secrets: &Secrets, instance: &str, fresh: u64, now: Timestamp) -> Self {
        let mut words = vec![
            ("{{token}}", secrets.token.clone()),
            ("{{token_previous}}", secrets.token_previous.clone()),
            ("{{token_cut}}", secrets.token.chars().skip(1).collect()),
            ("{{token_upper}}", secrets.token.to_uppercase()),
            ("{{instance}}", instance.to_owned()),
            ("{{fresh}}", fresh.to_string()),
            ("{{now}}", now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()),
        ];
        let body = match &case.body {
            Body::Text(text) => filled(text, &words).into_bytes(),
            Body::Bytes(bytes) => bytes.clone(),
        };
        let signed = case.sign.as_ref().map(|sign| {
            let other = sign.body.as_ref().map(|text| filled(text, &words).into_bytes());
            Signed::of(sign, other.as_deref().unwrap_or(&body), secrets, fresh, now)
        });
        if let Some(signed) = &signed {
            words.push(("{{id}}", signed.id.clone()));
            words.push(("{{timestamp}}", signed.timestamp.clone()));
            words.push(("{{signature}}", signed.signature.clone()));
            words.push(("{{signature_near}}", near(&signed.signature, 31, 0x80)));
        }
        let mut headers: Vec<(String, String)> =
            case.headers.iter().map(|(name, value)| (name.clone(), filled(value, &words))).collect();
        if let Some(signed) = signed.filter(|_| case.sign.as_ref().is_some_and(|sign| sign.add_headers)) {
            headers.push(("webhook-id".to_owned(), signed.id));
            headers.push(("webhook-timestamp".to_owned(), signed.timestamp));
            headers.push(("webhook-signature".to_owned(), signed.signature));
        }
        Self { headers, body }
    }
}

impl Signed {
    fn of(sign: &Sign, body: &[u8], secrets: &Secrets, fresh: u64, now: Timestamp) -> Self {
        let key = match sign.key {
            Key::Current => &secrets.current,
            Key::Previous => &secrets.previous,
            Key::Wrong => &secrets.wrong,
        };
        let id = sign.id.clone().unwrap_or_else(|| format!("attack-{fresh}"));
        let timestamp =
            sign.timestamp.clone().unwrap_or_else(|| now.as_second().saturating_add(sign.offset_s).to_string());
        let signature = signature(key, &id, &timestamp, body);
        Self { id, timestamp, signature }
    }
}

/// As Standard Webhooks describes it, and written here once more: the code under attack does not sign its own attackers'
/// requests.
pub(super) fn signature(key: &[u8], id: &str, timestamp: &str, body: &[u8]) -> String {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { unreachable!("HMAC takes keys of any length") };
    mac.update(format!("{id}.{timestamp}.").as_bytes());
    mac.update(body);
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

/// The signature with one byte of its digest changed.
pub(super) fn near(signature: &str, byte: usize, change: u8) -> String {
    let (version, text) = signature.split_once(',').unwrap_or_default();
    let mut digest = STANDARD.decode(text).unwrap_or_default();
    if let Some(byte) = digest.get_mut(byte) {
        *byte ^= change;
    }
    format!("{version},{}", STANDARD.encode(digest))
}

fn filled(text: &str, words: &[(&str, String)]) -> String {
    if !text.contains("{{") {
        return text.to_owned();
    }
    words.iter().fold(text.to_owned(), |text, (word, value)| text.replace(word, value))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::read::read_all;
    use super::*;

    fn made(case: &serde_json::Value) -> Request {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.json"), case.to_string()).unwrap();
        let secrets = Secrets {
            token: "tok".to_owned(),
            token_previous: "old".to_owned(),
            current: std::array::from_fn(|at| u8::try_from(at).unwrap()),
            previous: [1; 32],
            wrong: [2; 32],
        };
        let now = Timestamp::from_second(1_744_578_123).unwrap();
        Request::of(&read_all(folder.path()).unwrap()[0], &secrets, "http://gitlab", 7, now)
    }

    #[test]
    fn a_signed_request_has_the_published_vectors_headers_after_its_own() {
        let request = made(&json!({
            "id": "a", "target": "http", "headers": [["webhook-id", "other"], ["x", "{{token}} {{instance}}"]],
            "body": r#"{"object_kind":"build","build_id":1977}"#, "expect": {"status": [200]},
            "sign": {"key": "current", "id": "f5e5f430-f57b-4e6e-9fac-d9128cd7232f"},
        }));
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            request.headers,
            [
                pair("webhook-id", "other"),
                pair("x", "tok http://gitlab"),
                pair("webhook-id", "f5e5f430-f57b-4e6e-9fac-d9128cd7232f"),
                pair("webhook-timestamp", "1744578123"),
                pair("webhook-signature", "v1,JawtsnraI75fqBm55pTGkqdQcTp0sDEr38M2uhLV9Nk="),
            ]
        );
    }

    #[test]
    fn a_case_may_place_the_signature_itself_and_keep_unknown_words() {
        let request = made(&json!({
            "id": "a", "target": "http", "headers": [["webhook-signature", "v2,x {{signature}}"]],
            "body": "{{fresh}} {{unknown}} {{now}}", "expect": {"status": [200]},
            "sign": {"key": "wrong", "add_headers": false, "timestamp": "x"},
        }));
        assert_eq!(request.headers.len(), 1);
        assert!(request.headers[0].1.starts_with("v2,x v1,"), "{:?}", request.headers);
        assert_eq!(request.body, b"7 {{unknown}} 2025-04-13T21:02:03Z");
    }

    #[test]
    fn a_near_signature_differs_in_one_byte() {
        let right = signature(&[1; 32], "a", "1", b"x");
        let near = near(&right, 31, 0x80);
        assert_ne!(near, right);
        assert_eq!((near.len(), &near[..40]), (right.len(), &right[..40]));
    }
}
