//! The wire between API Gateway and ingest (HTTP API, proxy integration, payload format 2.0).

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use runnerless_gitlab::proof::Headers;
use serde::{Deserialize, Serialize};

use crate::outcome::{Outcome, Rejected};

/// Largest body that is looked at, in bytes. A job hook has a few kilobytes and a commit message of any length; Lambda
/// takes six megabytes with everything around it.
const BODY_BYTES: usize = 5 * 1024 * 1024;
/// Longest address that is logged; an IPv6 address with a zone is shorter.
const ADDRESS_CHARS: usize = 64;

/// A request. What API Gateway leaves out or sends as null is absent.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Request {
    /// The request's headers.
    pub headers: Headers,
    raw_path: Option<String>,
    request_context: Option<RequestContext>,
    body: Option<String>,
    is_base64_encoded: Option<bool>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct RequestContext {
    http: Option<Http>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Http {
    method: Option<String>,
    source_ip: Option<String>,
}

impl Request {
    /// Whether this was sent to the hook's address in the hook's way. A custom domain may put a path before ours.
    pub(crate) fn is_for_us(&self) -> Result<(), Rejected> {
        if !self.raw_path.as_deref().is_some_and(|path| path.trim_end_matches('/').ends_with("/webhook")) {
            return Err(Rejected::Path);
        }
        if self.http().and_then(|http| http.method.as_deref()) == Some("POST") { Ok(()) } else { Err(Rejected::Method) }
    }

    /// The bytes that GitLab sent and signed. API Gateway encodes them by content type.
    pub(crate) fn bytes(&self) -> Result<Cow<'_, [u8]>, Rejected> {
        let body = self.body.as_deref().unwrap_or_default();
        let bytes = if self.is_base64_encoded == Some(true) {
            // Before decoding: the encoded form is a third larger.
            if body.len() / 4 * 3 > BODY_BYTES + 3 {
                return Err(Rejected::TooLarge);
            }
            Cow::from(STANDARD.decode(body).map_err(|_| Rejected::Encoding)?)
        } else {
            Cow::from(body.as_bytes())
        };
        if bytes.len() > BODY_BYTES { Err(Rejected::TooLarge) } else { Ok(bytes) }
    }

    /// The sender's address, for the log; empty when unknown.
    pub(crate) fn source_ip(&self) -> String {
        let address = self.http().and_then(|http| http.source_ip.as_deref()).unwrap_or_default();
        address.chars().take(ADDRESS_CHARS).collect()
    }

    fn http(&self) -> Option<&Http> {
        self.request_context.as_ref().and_then(|context| context.http.as_ref())
    }
}

/// The answer. GitLab shows it beside the delivery; it holds nothing of the request and no secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Response {
    /// The HTTP status. GitLab switches a hook off after repeated ones that are not 2xx or 3xx.
    pub status_code: u16,
    headers: ContentType,
    /// A small JSON object.
    pub body: String,
    is_base64_encoded: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
struct ContentType {
    #[serde(rename = "content-type")]
    content_type: &'static str,
}

impl Response {
    /// The answer to a request that came to this.
    #[must_use]
    pub fn to(outcome: &Outcome) -> Self {
        let mut body = serde_json::json!({"result": outcome.result()});
        if let Some(field) = outcome.unreadable_field() {
            body["unreadable"] = field.into();
        }
        Self {
            status_code: outcome.status(),
            headers: ContentType { content_type: "application/json" },
            body: body.to_string(),
            is_base64_encoded: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn request(event: serde_json::Value) -> Request {
        serde_json::from_value(event).unwrap()
    }

    #[test]
    fn the_body_is_what_was_sent_whichever_way_it_came() {
        let plain = request(json!({"body": "{\"é\":1}", "isBase64Encoded": false}));
        let encoded = request(json!({"body": STANDARD.encode("{\"é\":1}"), "isBase64Encoded": true}));
        assert_eq!(plain.bytes().unwrap(), encoded.bytes().unwrap());
        assert!(request(json!({"body": null})).bytes().unwrap().is_empty());
        let broken = request(json!({"body": "%%%", "isBase64Encoded": true}));
        assert_eq!(broken.bytes(), Err(Rejected::Encoding));
    }

    #[test]
    fn a_body_is_limited_by_its_decoded_size() {
        for (bytes, fits) in [(BODY_BYTES, true), (BODY_BYTES + 1, false), (BODY_BYTES * 2, false)] {
            let text = "x".repeat(bytes);
            let encoded = STANDARD.encode(&text);
            assert_eq!(request(json!({"body": text})).bytes().is_ok(), fits);
            assert_eq!(request(json!({"body": encoded, "isBase64Encoded": true})).bytes().is_ok(), fits);
        }
    }

    #[test]
    fn only_a_post_to_the_hooks_path_is_for_us() {
        let to = |method: &str, path: &str| {
            request(json!({"rawPath": path, "requestContext": {"http": {"method": method}}})).is_for_us()
        };
        assert_eq!(to("POST", "/webhook"), Ok(()));
        assert_eq!(to("POST", "/ci/webhook/"), Ok(()));
        assert_eq!(to("GET", "/webhook"), Err(Rejected::Method));
        for path in ["/", "/xwebhook", "/webhook/x", ""] {
            assert_eq!(to("POST", path), Err(Rejected::Path), "{path}");
        }
        assert_eq!(Request::default().is_for_us(), Err(Rejected::Path));
        assert_eq!(request(json!({"headers": null, "requestContext": null})).source_ip(), "");
    }
}
