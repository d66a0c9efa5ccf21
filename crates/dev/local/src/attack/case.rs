//! A case: one request, and what is expected of it. The format is in `docs/development.md`.

use serde::Deserialize;
use serde_json::Value;

/// One case.
#[derive(Clone, Debug)]
pub(super) struct Case {
    /// Its name, unlike any other of its folder.
    pub(super) id: String,
    /// Who gets the request.
    pub(super) target: Target,
    pub(super) method: String,
    pub(super) path: String,
    /// As they are sent, doubled ones too.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Body,
    pub(super) sign: Option<Sign>,
    /// What the stack holds.
    pub(super) stack: Held,
    pub(super) event: EventForm,
    /// Statuses that are as expected.
    pub(super) status: Vec<u16>,
    /// Whether the request is to change what the stack holds.
    pub(super) state_changed: bool,
    /// The expectation as it was written.
    pub(super) expected: Value,
}

/// Who gets the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Target {
    /// The stack's HTTP API, as GitLab calls it.
    Http,
    /// The authorizer function, invoked as the API invokes it.
    Authorizer,
    /// The ingest function, the same.
    Ingest,
}

/// Where the bytes come from.
#[derive(Clone, Debug)]
pub(super) enum Body {
    /// Text with words to fill in.
    Text(String),
    /// Any bytes, as they are.
    Bytes(Vec<u8>),
}

/// How the request is signed.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sign {
    /// With which key.
    pub(super) key: Key,
    /// How far the signed time is from now (s).
    #[serde(default)]
    pub(super) offset_s: i64,
    /// The message's id; one of its own when absent.
    #[serde(default)]
    pub(super) id: Option<String>,
    /// The signed time as it is written, instead of now and the offset.
    #[serde(default)]
    pub(super) timestamp: Option<String>,
    /// What is signed, instead of the body.
    #[serde(default)]
    pub(super) body: Option<String>,
    /// Whether the three headers are added; if not, the case writes those that it wants.
    #[serde(default = "yes")]
    pub(super) add_headers: bool,
}

/// A signing key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Key {
    /// The stack's.
    Current,
    /// The one that it still takes.
    Previous,
    /// Somebody else's.
    Wrong,
}

/// What the stack holds while a case runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Held {
    /// Which secrets.
    pub(super) credentials: Credentials,
    /// Whether it holds the previous ones too.
    pub(super) previous: bool,
    /// Whether a token alone is taken beside a signing key (`AllowTokenWithSigningKey`).
    pub(super) allow_token: bool,
}

impl Default for Held {
    fn default() -> Self {
        Self { credentials: Credentials::Both, previous: true, allow_token: false }
    }
}

/// Secrets of the front door.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Credentials {
    Both,
    Signing,
    Token,
    None,
}

/// How an invoked function's event is made.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct EventForm {
    /// Names and values stay as they are, doubled ones too, instead of being joined as API Gateway joins them.
    pub(super) exact_headers: bool,
    /// The flag, whatever the body is; the body is then taken over as it is.
    pub(super) is_base64_encoded: Option<bool>,
}

const fn yes() -> bool {
    true
}
