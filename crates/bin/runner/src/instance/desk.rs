//! The stack's two routes for instances: `POST /claim`, which is signed with the role's keys, and `POST /launch`, which is
//! proved by the nonce that the first one gave.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, NoProxy, StatusCode, Url, redirect, retry};
use runnerless_core::official::Official;
use runnerless_gitlab::protocol::{Proxy, Secret};
use serde::Deserialize;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use runnerless_metadata::RoleKeys;

/// One call. The function behind it is ended after fifteen seconds: no answer after this means that it does not run any more.
const LIMIT: Duration = Duration::from_secs(20);
/// A connection stands in well under this, or does not come.
const CONNECT: Duration = Duration::from_secs(5);
/// Longest answer that is read.
const ANSWER: usize = 64 * 1024;
/// Longest reason that is passed on.
const REASON_CHARS: usize = 300;
/// What the signature is for.
const SERVICE: &str = "execute-api";

/// The claim URL cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DeskError {
    #[error("--claim-url: {0:?} is not the URL of a stack's output ClaimUrl, https://.../claim")]
    Url(String),
    #[error("the HTTP client could not be set up")]
    Client(#[source] reqwest::Error),
    #[error("the call cannot be signed: {0}")]
    Sign(String),
}

/// Both routes.
#[derive(Debug)]
pub(crate) struct Desk {
    http: Client,
    claim: Url,
    launch: Url,
}

/// What an instance that begins is given.
#[derive(Debug, Deserialize)]
pub(crate) struct Begun {
    pub(crate) token: Secret,
    pub(crate) system_id: String,
    pub(crate) nonce: Secret,
    pub(crate) gitlab_url: String,
    pub(crate) image_policy: String,
    /// The official runner's executor, if that is to run the job.
    #[serde(default)]
    pub(crate) official: Option<Official>,
    /// How long to ask for a job, from when the call was sent.
    pub(crate) wait_ms: u64,
    /// How long the launch lasts, from then.
    pub(crate) left_ms: u64,
}

/// What became of a call.
#[derive(Debug)]
pub(crate) enum Said<T> {
    /// It was carried out.
    Yes(T),
    /// The rules do not allow it; another try will not help.
    No(String),
    /// It may be made again.
    Again(String),
}

impl Desk {
    /// By the stack's output `ClaimUrl`.
    pub(crate) fn new(claim_url: &str, proxy: Option<&Proxy>) -> Result<Self, DeskError> {
        let bad = || DeskError::Url(claim_url.chars().take(200).collect());
        let claim = Url::parse(claim_url).map_err(|_| bad())?;
        let root = claim.path().strip_suffix("/claim").filter(|_| claim.host_str().is_some()).ok_or_else(bad)?;
        let mut launch = claim.clone();
        launch.set_path(&format!("{root}/launch"));
        let mut builder = Client::builder()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .connect_timeout(CONNECT)
            .timeout(LIMIT)
            .pool_max_idle_per_host(1);
        if let Some(proxy) = proxy {
            let proxied = reqwest::Proxy::https(&proxy.url).map_err(DeskError::Client)?;
            builder = builder.proxy(proxied.no_proxy(NoProxy::from_string(&proxy.bypass)));
        }
        if claim.scheme() == "http" {
            builder = builder.tls_certs_only(Vec::new());
        }
        Ok(Self { http: builder.build().map_err(DeskError::Client)?, claim, launch })
    }

    /// Begins the launch under `claim`.
    pub(crate) async fn begin(
        &self,
        launch: &str,
        claim: &str,
        keys: &RoleKeys,
        region: &str,
    ) -> Result<Said<Begun>, DeskError> {
        let body = json!({"do": "begin", "launch": launch, "claim": claim}).to_string();
        let mut request = self.http.post(self.claim.clone()).header(CONTENT_TYPE, "application/json");
        for (name, value) in self.signature(&body, keys, region)? {
            request = request.header(name, value);
        }
        let request = request.body(body);
        let answer = answer(request).await;
        if let Ok((StatusCode::FORBIDDEN, body)) = &answer {
            // A role that is new is not known everywhere at once.
            return Ok(Said::Again(reason(StatusCode::FORBIDDEN, body)));
        }
        Ok(match judge(answer) {
            Said::Yes(body) => match serde_json::from_slice(&body) {
                Ok(begun) => Said::Yes(begun),
                Err(_) => Said::Again("the answer to the begin cannot be read".to_owned()),
            },
            Said::No(why) => Said::No(why),
            Said::Again(why) => Said::Again(why),
        })
    }

    /// Says a word for a launch that began. `word` has `do` and what belongs to it.
    pub(crate) async fn say(&self, launch: &str, nonce: &str, word: &Value) -> Said<Zeroizing<Vec<u8>>> {
        let mut body = word.clone();
        body["launch"] = launch.into();
        body["nonce"] = nonce.into();
        let request = self.http.post(self.launch.clone()).header(CONTENT_TYPE, "application/json");
        judge(answer(request.body(body.to_string())).await)
    }

    fn signature(&self, body: &str, keys: &RoleKeys, region: &str) -> Result<Vec<(String, String)>, DeskError> {
        let wrong = |error: &dyn std::fmt::Display| DeskError::Sign(error.to_string());
        let session = Some(keys.session.expose().to_owned());
        let identity = Credentials::new(keys.key_id.expose(), keys.secret.expose(), session, None, "instance").into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(region)
            .name(SERVICE)
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .map_err(|error| wrong(&error))?
            .into();
        let host = authority(&self.claim);
        let headers = [("content-type", "application/json"), ("host", host.as_str())];
        let request = SignableRequest::new(
            "POST",
            self.claim.as_str(),
            headers.into_iter(),
            SignableBody::Bytes(body.as_bytes()),
        );
        let signed = sign(request.map_err(|error| wrong(&error))?, &params).map_err(|error| wrong(&error))?;
        let (instructions, _) = signed.into_parts();
        Ok(instructions.headers().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }
}

/// Host and port as a request names them.
fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

async fn answer(request: reqwest::RequestBuilder) -> Result<(StatusCode, Zeroizing<Vec<u8>>), String> {
    let no_answer = |error: reqwest::Error| runnerless_core::chain::chain(&error.without_url());
    let mut response = request.send().await.map_err(no_answer)?;
    let mut body = Zeroizing::new(Vec::new());
    while let Some(chunk) = response.chunk().await.map_err(no_answer)? {
        body.extend_from_slice(&chunk);
        if body.len() > ANSWER {
            return Err("an answer that is too long".to_owned());
        }
    }
    Ok((response.status(), body))
}

/// 409 says no, unless it says that the same call may be made again; so may all of which this side or the API only says
/// that it failed.
fn judge(answer: Result<(StatusCode, Zeroizing<Vec<u8>>), String>) -> Said<Zeroizing<Vec<u8>>> {
    let (status, body) = match answer {
        Ok((StatusCode::OK, body)) => return Said::Yes(body),
        Ok(answer) => answer,
        Err(why) => return Said::Again(why),
    };
    let again = serde_json::from_slice::<Value>(&body).is_ok_and(|body| body["again"] == true);
    let why = reason(status, &body);
    if again || status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
        Said::Again(why)
    } else {
        Said::No(why)
    }
}

/// What an answer says, for people.
fn reason(status: StatusCode, body: &[u8]) -> String {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let said = ["reason", "refused", "error", "message"].iter().find_map(|key| body[*key].as_str()).unwrap_or_default();
    let said: String = said.chars().take(REASON_CHARS).collect();
    if said.is_empty() { format!("HTTP status {status}") } else { said }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_routes_are_beside_each_other() {
        for (url, launch) in [
            (
                "https://abc.execute-api.eu-west-1.amazonaws.com/claim",
                "https://abc.execute-api.eu-west-1.amazonaws.com/launch",
            ),
            ("http://127.0.0.1:1/a/b/claim", "http://127.0.0.1:1/a/b/launch"),
        ] {
            let desk = Desk::new(url, None).unwrap();
            assert_eq!((desk.claim.as_str(), desk.launch.as_str()), (url, launch));
        }
        let local = Desk::new("http://abc.execute-api.localhost:4566/claim", None).unwrap();
        assert_eq!(authority(&local.claim), "abc.execute-api.localhost:4566");
        for bad in ["", "claim", "https://abc.execute-api.eu-west-1.amazonaws.com/", "https://example.com/claims"] {
            assert!(matches!(Desk::new(bad, None), Err(DeskError::Url(_))), "{bad}");
        }
    }

    #[test]
    fn the_signature_is_of_the_api_and_covers_host_and_session() {
        let keys =
            RoleKeys { key_id: Secret::new("AKID"), secret: Secret::new("secret"), session: Secret::new("session") };
        let desk = Desk::new("https://abc.execute-api.eu-west-1.amazonaws.com/claim", None).unwrap();
        let headers = desk.signature("{}", &keys, "eu-west-1").unwrap();
        let of = |name: &str| headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str()).unwrap();
        let authorization = of("authorization");
        assert!(authorization.starts_with("AWS4-HMAC-SHA256 Credential=AKID/"), "{authorization}");
        assert!(authorization.contains("/eu-west-1/execute-api/aws4_request"), "{authorization}");
        assert!(authorization.contains("content-type;host;x-amz-date;x-amz-security-token"), "{authorization}");
        assert_eq!(of("x-amz-security-token"), "session");
    }

    #[test]
    fn answers_are_told_apart() {
        let said = |status: u16, body: &str| {
            judge(Ok((StatusCode::from_u16(status).unwrap(), Zeroizing::new(body.as_bytes().to_vec()))))
        };
        assert!(matches!(said(200, "{}"), Said::Yes(_)));
        for (status, body) in [(409, r#"{"again":true}"#), (503, r#"{"again":true}"#), (500, "x"), (502, ""), (429, "")]
        {
            assert!(matches!(said(status, body), Said::Again(_)), "{status} {body}");
        }
        for status in [400, 403, 404, 409, 410, 413] {
            assert!(matches!(said(status, r#"{"refused":"why"}"#), Said::No(why) if why == "why"), "{status}");
        }
        assert!(matches!(judge(Err("no".to_owned())), Said::Again(_)));
    }
}
