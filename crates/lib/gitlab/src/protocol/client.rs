//! One HTTP client for one GitLab: where it is, how to get there, and how an answer is read.

use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, LOCATION, RETRY_AFTER};
use reqwest::{Certificate, NoProxy, RequestBuilder, Response, StatusCode, Url, redirect, retry};
use runnerless_core::way::{Proxy, Way};
use serde::Serialize;

use super::error::{JobStatus, Refusal, TransportError};
use super::info::Info;

/// Longest answer that is not a job: GitLab's error bodies are a sentence.
const SMALL_ANSWER: usize = 64 * 1024;
/// Longest job: variables alone may be megabytes; what is larger than this is not a job that a shell could run.
const JOB_ANSWER: usize = 32 * 1024 * 1024;
/// Longest sentence of GitLab that is passed on.
const MESSAGE_CHARS: usize = 300;

/// How to reach GitLab.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// The instance's URL, with a relative root if it has one (`https://gitlab.example.com/git`).
    pub url: String,
    /// The proxy for `https` URLs; `None` connects directly. The process environment is never consulted.
    pub proxy: Option<Proxy>,
    /// PEM certificates to trust instead of the system's.
    pub ca_pem: Option<Vec<u8>>,
    /// Name, version and features, sent with the calls.
    pub info: Info,
    /// Limit for the connection, TLS included.
    pub connect_timeout: Duration,
    /// Limit for one request as a whole.
    pub request_timeout: Duration,
}

impl ClientConfig {
    /// The usual limits: ten seconds to connect, thirty for a request. GitLab answers within a second; a parked
    /// `jobs/request` does not occur, because no `last_update` is sent.
    #[must_use]
    pub fn new(url: impl Into<String>, info: Info) -> Self {
        Self {
            url: url.into(),
            proxy: None,
            ca_pem: None,
            info,
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(30),
        }
    }

    /// The same, by that way out.
    #[must_use]
    pub fn through(self, way: &Way) -> Self {
        Self { proxy: way.proxy.clone(), ca_pem: way.ca_pem.clone().map(String::into_bytes), ..self }
    }
}

/// Whether clients can be made that go this way.
///
/// # Errors
/// When the proxy's URL or the certificates cannot be used.
pub fn check(way: &Way) -> Result<(), ConfigError> {
    Client::new(ClientConfig::new("https://gitlab.example.com", Info::new("", "", "")).through(way)).map(drop)
}

/// The configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Not an absolute `http` or `https` URL.
    #[error("{0:?} is not the URL of a GitLab instance: it must start with http:// or https:// and name a host")]
    Url(String),
    /// The proxy's URL cannot be used.
    #[error("the proxy's URL cannot be used")]
    Proxy(#[source] reqwest::Error),
    /// The certificate file holds no certificate, or a broken one.
    #[error("the CA file holds no usable PEM certificate")]
    Ca(#[source] Option<reqwest::Error>),
    /// TLS could not be set up.
    #[error("the HTTP client could not be set up")]
    Client(#[source] reqwest::Error),
}

/// Speaks to one GitLab.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    /// `https://host/root/api/v4/`.
    base: Url,
    config: ClientConfig,
}

impl Client {
    /// Builds the client. Nothing is sent yet.
    ///
    /// # Errors
    /// When the URL, the proxy or the certificates cannot be used.
    pub fn new(config: ClientConfig) -> Result<Self, ConfigError> {
        let base = api_base(&config.url)?;
        let mut builder = plain(&config)?;
        if base.scheme() == "http" {
            // Reading the system's certificates costs milliseconds and memory, and without TLS nothing uses them.
            builder = builder.tls_certs_only(Vec::new());
        } else if let Some(pem) = &config.ca_pem {
            builder = builder.tls_certs_only(certificates(pem)?);
        }
        let http = builder.build().map_err(ConfigError::Client)?;
        Ok(Self { http, base, config })
    }

    /// What this client says about itself.
    #[must_use]
    pub fn info(&self) -> &Info {
        &self.config.info
    }

    /// The same client for the GitLab at the scheme, host and port of a URL, as an upload that is redirected there needs
    /// it. `None` when the URL names no such host, or gives up the encryption of this one.
    #[must_use]
    pub fn moved_to(&self, location: &str) -> Option<Self> {
        let target = self.base.join(location).ok().filter(|target| self.may_go_to(target))?;
        let url = target.origin().ascii_serialization();
        Self::new(ClientConfig { url, ..self.config.clone() }).ok()
    }

    /// Whether a redirect may lead there: what began encrypted stays so.
    pub(super) fn may_go_to(&self, target: &Url) -> bool {
        target.host_str().is_some()
            && (target.scheme() == "https" || (target.scheme() == "http" && self.base.scheme() == "http"))
    }

    /// Whether a URL is of the same scheme, host and port as this GitLab's.
    pub(super) fn is_home(&self, target: &Url) -> bool {
        target.origin() == self.base.origin()
    }

    /// A client for what a redirect leads to, which is not GitLab: it knows the system's authorities and GitLab's own.
    pub(super) fn abroad(&self, target: &Url) -> Result<reqwest::Client, ConfigError> {
        let mut builder = plain(&self.config)?;
        if target.scheme() == "http" {
            builder = builder.tls_certs_only(Vec::new());
        } else if let Some(pem) = &self.config.ca_pem {
            builder = builder.tls_certs_merge(certificates(pem)?);
        }
        builder.build().map_err(ConfigError::Client)
    }

    /// The URL of a call below `/api/v4/`. `path` is made of fixed words and numbers only.
    pub(super) fn url(&self, path: &str, query: Option<&str>) -> Url {
        let mut url = self.base.clone();
        url.set_query(query);
        url.set_path(&format!("{}{path}", self.base.path()));
        url
    }

    /// A call to GitLab that wants whatever comes.
    pub(super) fn call(&self, method: reqwest::Method, url: Url) -> RequestBuilder {
        self.http.request(method, url)
    }

    /// The instance's URL without `/api/v4/`.
    #[must_use]
    pub fn instance_url(&self) -> String {
        self.base.as_str().trim_end_matches("/api/v4/").to_owned()
    }

    /// A request below `/api/v4/`. `path` is made of fixed words and numbers only.
    pub(crate) fn request(&self, method: reqwest::Method, path: &str, query: Option<&str>) -> RequestBuilder {
        self.call(method, self.url(path, query)).header(ACCEPT, "application/json")
    }

    /// The same with a JSON body.
    pub(super) fn json(&self, method: reqwest::Method, path: &str, body: &impl Serialize) -> RequestBuilder {
        self.request(method, path, None).header(CONTENT_TYPE, "application/json").json(body)
    }
}

/// What all clients have in common: no surprises from the environment, no redirects, no hidden repetitions.
fn plain(config: &ClientConfig) -> Result<reqwest::ClientBuilder, ConfigError> {
    let builder = reqwest::Client::builder()
        .no_proxy()
        .user_agent(format!("{}/{}", config.info.name, config.info.version))
        // A redirected POST would become a GET; the right URL is the operator's to set, and the answer names it.
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .connect_timeout(config.connect_timeout)
        .timeout(config.request_timeout)
        // One connection is all that a single job needs.
        .pool_max_idle_per_host(1);
    let Some(proxy) = &config.proxy else { return Ok(builder) };
    let bypass = NoProxy::from_string(&proxy.bypass);
    Ok(builder.proxy(reqwest::Proxy::https(&proxy.url).map_err(ConfigError::Proxy)?.no_proxy(bypass)))
}

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    operation: &'static str,
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// Sends a request whose answer is short.
    pub(super) async fn of(operation: &'static str, request: RequestBuilder) -> Result<Self, TransportError> {
        Self::limited(operation, request, SMALL_ANSWER).await
    }

    /// Sends a request whose answer may be a job.
    pub(crate) async fn with_job(operation: &'static str, request: RequestBuilder) -> Result<Self, TransportError> {
        Self::limited(operation, request, JOB_ANSWER).await
    }

    async fn limited(operation: &'static str, request: RequestBuilder, limit: usize) -> Result<Self, TransportError> {
        let no_answer = |source: reqwest::Error| TransportError::NoAnswer { operation, source: source.without_url() };
        let response = request.send().await.map_err(no_answer)?;
        Self::of_response(operation, response, limit).await
    }

    /// Reads the rest of a short answer.
    pub(super) async fn small(operation: &'static str, response: Response) -> Result<Self, TransportError> {
        Self::of_response(operation, response, SMALL_ANSWER).await
    }

    async fn of_response(
        operation: &'static str,
        mut response: Response,
        limit: usize,
    ) -> Result<Self, TransportError> {
        let no_answer = |source: reqwest::Error| TransportError::NoAnswer { operation, source: source.without_url() };
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(no_answer)? {
            if body.len() + chunk.len() > limit {
                return Err(TransportError::TooLarge { operation, limit });
            }
            body.extend_from_slice(&chunk);
        }
        let headers = std::mem::take(response.headers_mut());
        Ok(Self { operation, status: response.status(), headers, body })
    }

    /// A header as text, if it is there and readable.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim)
    }

    /// The job's state on the server.
    pub(super) fn job_status(&self) -> Option<JobStatus> {
        self.header("job-status").map(JobStatus::from_wire)
    }

    /// How often GitLab wants the log: `X-GitLab-Trace-Update-Interval`, in seconds.
    pub(super) fn trace_interval(&self) -> Option<Duration> {
        let secs: u64 = self.header("x-gitlab-trace-update-interval")?.parse().ok()?;
        (secs > 0).then(|| Duration::from_secs(secs))
    }

    /// How many bytes of the log GitLab has: the end of `Range: 0-<n>`.
    pub(super) fn stored_bytes(&self) -> Option<u64> {
        let range = self.header("range")?;
        range.rsplit('-').next()?.parse().ok()
    }

    /// This answer as a refusal.
    pub(crate) fn refusal(&self) -> Refusal {
        Refusal {
            operation: self.operation,
            status: self.status.as_u16(),
            message: self.message(),
            retry_after: self.header(RETRY_AFTER.as_str()).and_then(|text| text.parse().ok()).map(Duration::from_secs),
            job_status: self.job_status(),
        }
    }

    /// GitLab's sentence: `message` (a text, or an object of lists) or `error`; for a redirect its target.
    fn message(&self) -> String {
        if let Some(target) = self.header(LOCATION.as_str()).filter(|_| self.status.is_redirection()) {
            return cut(&format!("redirected to {target}: use that URL"));
        }
        let Ok(serde_json::Value::Object(fields)) = serde_json::from_slice(&self.body) else {
            return String::new();
        };
        match fields.get("message").or_else(|| fields.get("error")) {
            Some(serde_json::Value::String(text)) => cut(text),
            Some(other) => cut(&other.to_string()),
            None => String::new(),
        }
    }
}

/// At most [`MESSAGE_CHARS`] characters.
fn cut(text: &str) -> String {
    text.chars().take(MESSAGE_CHARS).collect()
}

/// `https://host/root/api/v4/` of what the operator typed: trailing slashes and a trailing `/ci` (an old habit that the
/// official runner tolerates too) are dropped.
fn api_base(url: &str) -> Result<Url, ConfigError> {
    let bad = || ConfigError::Url(url.chars().take(200).collect());
    let mut base = Url::parse(url.trim()).map_err(|_| bad())?;
    if !matches!(base.scheme(), "http" | "https") || base.host_str().is_none() {
        return Err(bad());
    }
    let root = base.path().trim_end_matches('/');
    let path = format!("{}/api/v4/", root.strip_suffix("/ci").unwrap_or(root));
    base.set_path(&path);
    base.set_query(None);
    base.set_fragment(None);
    Ok(base)
}

/// The certificates of a PEM file; none is an error, because it would trust nothing.
fn certificates(pem: &[u8]) -> Result<Vec<Certificate>, ConfigError> {
    let found = Certificate::from_pem_bundle(pem).map_err(|error| ConfigError::Ca(Some(error)))?;
    if found.is_empty() { Err(ConfigError::Ca(None)) } else { Ok(found) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_api_is_below_what_the_operator_typed() {
        for (typed, base) in [
            ("https://gitlab.example.com", "https://gitlab.example.com/api/v4/"),
            ("https://gitlab.example.com/", "https://gitlab.example.com/api/v4/"),
            ("https://gitlab.example.com/ci", "https://gitlab.example.com/api/v4/"),
            ("http://127.0.0.1:8080/git/", "http://127.0.0.1:8080/git/api/v4/"),
        ] {
            assert_eq!(api_base(typed).unwrap().as_str(), base, "{typed}");
        }
        for bad in ["gitlab.example.com", "ftp://x", "", "https://"] {
            assert!(api_base(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_ca_file_without_certificate_is_refused() {
        let mut config = ClientConfig::new("https://gitlab.example.com", Info::new("t", "0", ""));
        config.ca_pem = Some(b"nothing here".to_vec());
        assert!(matches!(Client::new(config), Err(ConfigError::Ca(_))));
    }
}
