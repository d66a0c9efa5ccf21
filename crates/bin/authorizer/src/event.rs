//! The wire between API Gateway and a REQUEST authorizer (payload format 2.0, simple responses).

use runnerless_gitlab::proof::Headers;
use serde::{Deserialize, Serialize};

/// Longest address that is logged; an IPv6 address with a zone is shorter.
const ADDRESS_CHARS: usize = 64;

/// What API Gateway tells about a request: its head, never its body.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Request {
    /// The request's headers.
    pub headers: Headers,
    request_context: Option<RequestContext>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct RequestContext {
    http: Option<Http>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Http {
    source_ip: Option<String>,
}

impl Request {
    /// The sender's address, for the log; empty when unknown.
    #[must_use]
    pub fn source_ip(&self) -> String {
        let http = self.request_context.as_ref().and_then(|context| context.http.as_ref());
        let address = http.and_then(|http| http.source_ip.as_deref()).unwrap_or_default();
        address.chars().take(ADDRESS_CHARS).collect()
    }
}

/// What let a request through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Filtered {
    /// Fresh and well-formed signature headers.
    Signature,
    /// The secret token.
    Token,
    /// The secrets could not be read.
    Unread,
    /// Nothing: it was refused.
    Refused,
}

/// What the API's access log can show as `$context.authorizer.<name>`. Ingest does not rely on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Context {
    /// What let the request through.
    pub filter: Filtered,
}

/// The answer to API Gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// Whether ingest gets the request.
    pub is_authorized: bool,
    /// For the access log.
    pub context: Context,
}

impl Answer {
    /// Ingest gets the request.
    #[must_use]
    pub const fn let_through(filter: Filtered) -> Self {
        Self { is_authorized: true, context: Context { filter } }
    }

    /// API Gateway answers 403.
    #[must_use]
    pub const fn refuse() -> Self {
        Self { is_authorized: false, context: Context { filter: Filtered::Refused } }
    }
}
