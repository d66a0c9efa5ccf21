//! The instance metadata service (IMDSv2), as a program on an instance asks it: what this instance is, what its tags say,
//! and its role's keys.
//!
//! It answers over plain HTTP from the host beside the machine, and is never asked through a proxy.

use std::time::Duration;

pub use reqwest::Error as HttpError;
use reqwest::{Client, Method, RequestBuilder, StatusCode, redirect, retry};
use runnerless_gitlab::protocol::Secret;
use serde::Deserialize;
use zeroize::Zeroizing;

/// Where it is on every instance.
pub const DEFAULT_ENDPOINT: &str = "http://169.254.169.254";
/// How long a session lasts (s): the boot, and the look whether the service is off. AWS takes up to six hours.
const SESSION_SECS: &str = "900";
/// It answers from the host beside this machine.
const LIMIT: Duration = Duration::from_secs(2);
/// Longest answer that is read: credentials are about two kilobytes.
const ANSWER: usize = 64 * 1024;

/// It did not tell.
#[derive(Debug, thiserror::Error)]
pub enum MetadataError {
    /// No answer.
    #[error("the instance metadata service did not answer")]
    NoAnswer(#[source] reqwest::Error),
    /// Another answer than the value.
    #[error("the instance metadata service answered {status} for {what}")]
    Refused {
        /// What was asked for.
        what: String,
        /// With what it answered.
        status: StatusCode,
    },
    /// A value in another form.
    #[error("the instance metadata service gave an unreadable {0}")]
    Unreadable(String),
}

/// Whether it can be used, as far as a look shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It refuses, or nobody is there.
    Off,
    /// It answers.
    On,
    /// Neither is certain.
    Unknown,
}

/// The service, before a session.
#[derive(Clone, Debug)]
pub struct Service {
    http: Client,
    endpoint: String,
}

/// A session.
#[derive(Debug)]
pub struct Session<'a> {
    service: &'a Service,
    token: Zeroizing<String>,
}

/// The role's keys. Each is wiped when dropped.
#[derive(Debug)]
pub struct RoleKeys {
    /// The access key's id.
    pub key_id: Secret,
    /// The secret key.
    pub secret: Secret,
    /// The token of the session.
    pub session: Secret,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Keys {
    access_key_id: Secret,
    secret_access_key: Secret,
    token: Secret,
}

impl Service {
    /// At `endpoint`; empty is AWS's own. Nothing is sent yet.
    ///
    /// # Errors
    /// When no HTTP client can be made.
    pub fn new(endpoint: &str) -> Result<Self, reqwest::Error> {
        let http = Client::builder()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .tls_certs_only(Vec::new())
            .connect_timeout(LIMIT)
            .timeout(LIMIT)
            // The service counts hops; a kept connection would also outlive its switching off.
            .pool_max_idle_per_host(0)
            .build()?;
        let endpoint = if endpoint.is_empty() { DEFAULT_ENDPOINT } else { endpoint };
        Ok(Self { http, endpoint: endpoint.trim_end_matches('/').to_owned() })
    }

    /// Begins a session.
    ///
    /// # Errors
    /// When the service does not give one.
    pub async fn session(&self) -> Result<Session<'_>, MetadataError> {
        let token = value("a session", self.ask_session()).await?;
        Ok(Session { service: self, token })
    }

    /// Whether neither a new session nor the one of `token` gets anything.
    pub async fn look(&self, token: &str) -> Seen {
        let session = Session { service: self, token: Zeroizing::new(token.to_owned()) };
        match (seen(self.ask_session()).await, seen(session.get("instance-id")).await) {
            (Seen::Off, Seen::Off) => Seen::Off,
            (Seen::On, _) | (_, Seen::On) => Seen::On,
            _ => Seen::Unknown,
        }
    }

    fn ask_session(&self) -> RequestBuilder {
        let url = format!("{}/latest/api/token", self.endpoint);
        self.http.request(Method::PUT, url).header("X-aws-ec2-metadata-token-ttl-seconds", SESSION_SECS)
    }
}

impl Session<'_> {
    /// The session's token, to see later that it is worth nothing any more.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }

    /// A tag of this instance.
    ///
    /// # Errors
    /// When the service does not tell it.
    pub async fn tag(&self, key: &str) -> Result<String, MetadataError> {
        self.text(&format!("tags/instance/{key}")).await
    }

    /// The state of its Auto Scaling group that this instance is on its way to, as in `InService`; `None` for an instance that
    /// is in no group.
    ///
    /// # Errors
    /// When the service does not tell it.
    pub async fn target_lifecycle_state(&self) -> Result<Option<String>, MetadataError> {
        match self.text("autoscaling/target-lifecycle-state").await {
            Ok(state) => Ok(Some(state)),
            Err(MetadataError::Refused { status: StatusCode::NOT_FOUND, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// This instance's id.
    ///
    /// # Errors
    /// When the service does not tell it.
    pub async fn instance_id(&self) -> Result<String, MetadataError> {
        self.text("instance-id").await
    }

    /// The region that this instance is in.
    ///
    /// # Errors
    /// When the service does not tell it.
    pub async fn region(&self) -> Result<String, MetadataError> {
        self.text("placement/region").await
    }

    /// The role's keys.
    ///
    /// # Errors
    /// When the service does not tell them.
    pub async fn role_keys(&self) -> Result<RoleKeys, MetadataError> {
        let role = self.text("iam/security-credentials/").await?;
        let role = role.lines().next().unwrap_or_default().trim();
        let text = value("the role's keys", self.get(&format!("iam/security-credentials/{role}"))).await?;
        let keys: Keys =
            serde_json::from_str(&text).map_err(|_| MetadataError::Unreadable("set of keys".to_owned()))?;
        Ok(RoleKeys { key_id: keys.access_key_id, secret: keys.secret_access_key, session: keys.token })
    }

    async fn text(&self, path: &str) -> Result<String, MetadataError> {
        Ok(value(path, self.get(path)).await?.trim().to_owned())
    }

    fn get(&self, path: &str) -> RequestBuilder {
        let url = format!("{}/latest/meta-data/{path}", self.service.endpoint);
        self.service.http.get(url).header("X-aws-ec2-metadata-token", self.token.as_str())
    }
}

async fn value(what: &str, request: RequestBuilder) -> Result<Zeroizing<String>, MetadataError> {
    let no_answer = |error: reqwest::Error| MetadataError::NoAnswer(error.without_url());
    let mut response = request.send().await.map_err(no_answer)?;
    if response.status() != StatusCode::OK {
        return Err(MetadataError::Refused { what: what.to_owned(), status: response.status() });
    }
    let mut body = Zeroizing::new(Vec::new());
    while let Some(chunk) = response.chunk().await.map_err(no_answer)? {
        body.extend_from_slice(&chunk);
        if body.len() > ANSWER {
            return Err(MetadataError::Unreadable(what.to_owned()));
        }
    }
    let text = std::str::from_utf8(&body).map_err(|_| MetadataError::Unreadable(what.to_owned()))?;
    if text.trim().is_empty() {
        Err(MetadataError::Unreadable(what.to_owned()))
    } else {
        Ok(Zeroizing::new(text.to_owned()))
    }
}

/// A service that is switched off answers 403, says AWS; one that is gone refuses the connection.
async fn seen(request: RequestBuilder) -> Seen {
    match request.send().await {
        Ok(response) if response.status() == StatusCode::FORBIDDEN => Seen::Off,
        Ok(response) if response.status().is_success() => Seen::On,
        Ok(_) => Seen::Unknown,
        Err(error) if error.is_connect() && !error.is_timeout() => Seen::Off,
        Err(_) => Seen::Unknown,
    }
}
