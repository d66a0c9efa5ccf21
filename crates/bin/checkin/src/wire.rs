//! The wire between API Gateway and this function (HTTP API, proxy integration, payload format 2.0).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use runnerless_claim::Answer;
use runnerless_claim::fields::BadField;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::error::Error;

/// Largest body that is looked at, in bytes. The longest word is a bind with the job's token, of a few kilobytes.
const BODY_BYTES: usize = 64 * 1024;
/// Characters after `i-`: EC2's ids have seventeen, those of old accounts eight.
const ID_CHARS: [usize; 2] = [17, 8];

/// A request. What API Gateway leaves out or sends as null is absent.
#[derive(Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Http {
    route_key: Option<String>,
    request_context: Option<Context>,
    body: Option<String>,
    is_base64_encoded: Option<bool>,
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The body holds a nonce.
        f.debug_struct("Http").field("route_key", &self.route_key).finish_non_exhaustive()
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Context {
    authorizer: Option<Authorizer>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Authorizer {
    iam: Option<Iam>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Iam {
    user_arn: Option<String>,
}

impl Http {
    /// The API's own name of the route, which the caller does not choose.
    #[must_use]
    pub(crate) fn route(&self) -> Option<&str> {
        self.route_key.as_deref()
    }

    /// Who signed the request, as AWS says; empty where nobody did.
    pub(crate) fn caller(&self) -> &str {
        let iam = self.request_context.as_ref().and_then(|context| context.authorizer.as_ref()?.iam.as_ref());
        iam.and_then(|iam| iam.user_arn.as_deref()).unwrap_or_default()
    }

    /// The body's JSON.
    pub(crate) fn body(&self) -> Result<Value, Error> {
        let text = self.body.as_deref().unwrap_or_default();
        if text.len() > BODY_BYTES {
            return Err(Error::TooLarge);
        }
        let decoded = match self.is_base64_encoded {
            Some(true) => Zeroizing::new(STANDARD.decode(text).map_err(|_| Error::NoJson)?),
            _ => Zeroizing::new(text.as_bytes().to_vec()),
        };
        serde_json::from_slice(&decoded).map_err(|_| Error::NoJson)
    }
}

/// The role of the stack's instances.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    /// What the ARN of each of its sessions starts with.
    sessions: String,
}

impl Role {
    /// From its ARN, `arn:aws:iam::123456789012:role/name`; a path before the name is not part of its sessions.
    #[must_use]
    pub fn of_arn(arn: &str) -> Option<Self> {
        let (head, path) = arn.split_once(":role/")?;
        let (partition, account) = head.strip_prefix("arn:")?.split_once(":iam::")?;
        let name = path.rsplit('/').next().filter(|name| !name.is_empty())?;
        Some(Self { sessions: format!("arn:{partition}:sts::{account}:assumed-role/{name}/") })
    }

    /// The instance whose session of this role `caller` is. EC2 alone hands out sessions that are named by an instance's
    /// id, each to that instance.
    #[must_use]
    pub fn instance<'a>(&self, caller: &'a str) -> Option<&'a str> {
        let session = caller.strip_prefix(self.sessions.as_str())?;
        let digits = session.strip_prefix("i-")?;
        let is_id = ID_CHARS.contains(&digits.len()) && digits.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f'));
        is_id.then_some(session)
    }
}

/// What an instance that begins is given.
#[derive(Clone, PartialEq, Eq)]
pub struct Begun {
    /// The lane's runner authentication token.
    pub token: Zeroizing<String>,
    /// The runner manager's system id to show.
    pub system_id: String,
    /// What the runner proves itself with from now on.
    pub nonce: Zeroizing<String>,
    /// The only GitLab to ask.
    pub gitlab_url: String,
    /// See [`crate::Settings::image_policy`].
    pub image_policy: String,
    /// The executor of the official runner, if that serves the launch: `shell` or `docker:<image>`.
    pub official: Option<String>,
    /// How long it may ask for a job, from when it sent this call (ms).
    pub wait_ms: i64,
    /// How long the launch lasts at most, from when it sent this call (ms).
    pub left_ms: i64,
}

/// The answer to a request: a status, and a small JSON object.
#[derive(Clone, PartialEq, Eq)]
pub enum Reply {
    /// 200: the launch began.
    Begun(Box<Begun>),
    /// 200, 409 or 410: see [`Answer`].
    Said(Answer),
    /// 409: the same call again, a second later.
    Again(String),
    /// 503: the same call again; this side could not do it now.
    Later(String),
    /// 500: this side cannot do it.
    Failed(String),
    /// 400: the request is none, in these words.
    Bad(String),
    /// 403: not signed by an instance of this stack.
    Forbidden,
    /// 404.
    NoRoute,
    /// 413.
    TooLarge,
}

impl Reply {
    /// What the caller is told of what this side could not do.
    #[must_use]
    pub fn of_error(error: &Error) -> Self {
        match error {
            Error::TooLarge => Self::TooLarge,
            Error::NoJson | Error::BadRequest(_) => Self::Bad(error.to_string()),
            _ if error.passes() => Self::Later(error.to_string()),
            _ => Self::Failed(error.to_string()),
        }
    }

    /// The HTTP status.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            Self::Begun(_) | Self::Said(Answer::Done | Answer::Cache(_) | Answer::Begun { .. }) => 200,
            Self::Again(_) | Self::Said(Answer::Refused(_)) => 409,
            Self::Said(Answer::Gone(_)) => 410,
            Self::Later(_) => 503,
            Self::Failed(_) => 500,
            Self::Bad(_) => 400,
            Self::Forbidden => 403,
            Self::NoRoute => 404,
            Self::TooLarge => 413,
        }
    }

    /// The body.
    #[must_use]
    pub fn body(&self) -> Zeroizing<String> {
        let failed = |what: &str| json!({"error": what}).to_string();
        Zeroizing::new(match self {
            Self::Begun(begun) => begun.json().to_string(),
            Self::Said(answer) => {
                serde_json::to_string(answer).unwrap_or_else(|_| failed("the answer cannot be written"))
            }
            Self::Again(why) | Self::Later(why) => json!({"again": true, "reason": why}).to_string(),
            Self::Bad(why) | Self::Failed(why) => failed(why),
            Self::Forbidden => failed("only instances of this stack begin here"),
            Self::NoRoute => failed("there is no such route"),
            Self::TooLarge => failed("the body is too large"),
        })
    }
}

impl fmt::Debug for Begun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Begun")
    }
}

impl Begun {
    fn json(&self) -> Value {
        json!({
            "token": self.token.as_str(),
            "system_id": self.system_id,
            "nonce": self.nonce.as_str(),
            "gitlab_url": self.gitlab_url,
            "image_policy": self.image_policy,
            "official": self.official,
            "wait_ms": self.wait_ms,
            "left_ms": self.left_ms,
        })
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // It holds the lane's token.
            Self::Begun(begun) => begun.fmt(f),
            other => write!(f, "{} {}", other.status(), other.body().as_str()),
        }
    }
}

impl Serialize for Reply {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Wire<'a> {
            status_code: u16,
            headers: Headers,
            body: &'a str,
            is_base64_encoded: bool,
        }
        #[derive(Serialize)]
        #[serde(rename_all = "kebab-case")]
        struct Headers {
            content_type: &'static str,
            cache_control: &'static str,
        }
        let headers = Headers { content_type: "application/json", cache_control: "no-store" };
        Wire { status_code: self.status(), headers, body: &self.body(), is_base64_encoded: false }.serialize(serializer)
    }
}

impl From<BadField> for Error {
    fn from(field: BadField) -> Self {
        Self::BadRequest(field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_session_of_the_stacks_role_that_is_named_by_an_instance_is_one() {
        let role = Role::of_arn("arn:aws:iam::123456789012:role/path/of/runnerless-RunnerRole-X1").unwrap();
        let of = |caller: &str| role.instance(caller).map(str::to_owned);
        let ours = "arn:aws:sts::123456789012:assumed-role/runnerless-RunnerRole-X1/";
        assert_eq!(of(&format!("{ours}i-0123456789abcdef0")).as_deref(), Some("i-0123456789abcdef0"));
        assert_eq!(of(&format!("{ours}i-01234567")).as_deref(), Some("i-01234567"));
        for stranger in [
            String::new(),
            ours.to_owned(),
            format!("{ours}somebody"),
            format!("{ours}i-0123456789ABCDEF0"),
            format!("{ours}i-0123456789abcdef0/"),
            format!("{ours}x/i-0123456789abcdef0"),
            "arn:aws:sts::123456789012:assumed-role/runnerless-RunnerRole-X12/i-0123456789abcdef0".to_owned(),
            "arn:aws:sts::999999999999:assumed-role/runnerless-RunnerRole-X1/i-0123456789abcdef0".to_owned(),
            "arn:aws:iam::123456789012:user/i-0123456789abcdef0".to_owned(),
        ] {
            assert_eq!(of(&stranger), None, "{stranger}");
        }
        for no_role in ["", "runnerless-RunnerRole", "arn:aws:iam::1:user/x", "arn:aws:iam::1:role/"] {
            assert_eq!(Role::of_arn(no_role), None, "{no_role}");
        }
    }

    #[test]
    fn a_body_is_read_in_both_encodings_and_a_hostile_one_is_refused() {
        let http = |body: &str, encoded: bool| {
            serde_json::from_value::<Http>(json!({"body": body, "isBase64Encoded": encoded})).unwrap()
        };
        assert_eq!(http(r#"{"a":1}"#, false).body().unwrap(), json!({"a": 1}));
        assert_eq!(http("eyJhIjoxfQ==", true).body().unwrap(), json!({"a": 1}));
        let deep = format!("{}{}", "[".repeat(30_000), "]".repeat(30_000));
        for bad in ["", "{", "nonsense", "\u{0}", deep.as_str()] {
            assert!(matches!(http(bad, false).body(), Err(Error::NoJson)), "{}", bad.len());
        }
        assert!(matches!(http("%%%", true).body(), Err(Error::NoJson)));
        assert!(matches!(http(&" ".repeat(BODY_BYTES + 1), false).body(), Err(Error::TooLarge)));
        let absent: Http = serde_json::from_value(json!({"body": null, "requestContext": null})).unwrap();
        assert!(absent.body().is_err() && absent.caller().is_empty() && absent.route().is_none());
    }

    #[test]
    fn replies_have_the_documented_form_and_show_no_secret() {
        let begun = Reply::Begun(Box::new(Begun {
            token: Zeroizing::new("glrt-x".to_owned()),
            system_id: "r_1".to_owned(),
            nonce: Zeroizing::new("s3cret".to_owned()),
            gitlab_url: "https://g".to_owned(),
            image_policy: "fail".to_owned(),
            official: None,
            wait_ms: 1,
            left_ms: 2,
        }));
        assert_eq!(format!("{begun:?}"), "Begun");
        let wire = serde_json::to_value(&begun).unwrap();
        assert_eq!((&wire["statusCode"], &wire["isBase64Encoded"]), (&json!(200), &json!(false)));
        assert_eq!(wire["headers"], json!({"content-type": "application/json", "cache-control": "no-store"}));
        let body: Value = serde_json::from_str(wire["body"].as_str().unwrap()).unwrap();
        assert_eq!((&body["token"], &body["nonce"], &body["left_ms"]), (&json!("glrt-x"), &json!("s3cret"), &json!(2)));
        for (reply, status, body) in [
            (Reply::Said(Answer::Done), 200, json!({"ok": true})),
            (Reply::Said(Answer::Refused("why".to_owned())), 409, json!({"ok": false, "refused": "why"})),
            (Reply::Said(Answer::Gone("why".to_owned())), 410, json!({"gone": true, "reason": "why"})),
            (Reply::Again("why".to_owned()), 409, json!({"again": true, "reason": "why"})),
            (Reply::Later("why".to_owned()), 503, json!({"again": true, "reason": "why"})),
            (Reply::Failed("why".to_owned()), 500, json!({"error": "why"})),
        ] {
            assert_eq!(reply.status(), status);
            assert_eq!(serde_json::from_str::<Value>(&reply.body()).unwrap(), body);
        }
    }
}
