//! The stack's two routes for instances: `POST /claim`, which is signed with the role's keys, and `POST /launch`, which is
//! proved by the nonce that the first one gave.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use reqwest::header::{CONTENT_TYPE, HOST};
use reqwest::{Client, NoProxy, StatusCode, Url, redirect, retry};
use runnerless_gitlab::protocol::{Proxy, Secret};
use serde::Deserialize;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::metadata::RoleKeys;

/// One call. The function behind it is ended after ten seconds: no answer after this means that it does not run any more.
const LIMIT: Duration = Duration::from_secs(15);
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
    #[error("--claim-url: {0:?} is not the URL of a stack's output ClaimUrl, https://...execute-api.<region>.../claim")]
    Url(String),
    #[error("AWS_ENDPOINT_URL cannot be used")]
    Endpoint,
    #[error("the HTTP client could not be set up")]
    Client(#[source] reqwest::Error),
    #[error("the call cannot be signed: {0}")]
    Sign(String),
}

/// How to get there.
#[derive(Clone, Debug)]
pub(crate) struct Way<'a> {
    /// The stack's output `ClaimUrl`.
    pub(crate) claim_url: &'a str,
    /// Where to connect instead, for the local stack; empty for the URL's own host.
    pub(crate) endpoint: &'a str,
    /// The region; empty for the one in the URL's host.
    pub(crate) region: &'a str,
    pub(crate) proxy: Option<&'a Proxy>,
}

/// Both routes.
#[derive(Debug)]
pub(crate) struct Desk {
    http: Client,
    /// What is signed, and whose host the request names.
    claim: Url,
    /// Where it is sent.
    sent: Url,
    region: String,
}

/// What an instance that begins is given.
#[derive(Debug, Deserialize)]
pub(crate) struct Begun {
    pub(crate) token: Secret,
    pub(crate) system_id: String,
    pub(crate) nonce: Secret,
    pub(crate) gitlab_url: String,
    pub(crate) image_policy: String,
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
    pub(crate) fn new(way: &Way<'_>) -> Result<Self, DeskError> {
        let bad = || DeskError::Url(way.claim_url.chars().take(200).collect());
        let claim = Url::parse(way.claim_url).map_err(|_| bad())?;
        let host = claim.host_str().filter(|_| claim.path().ends_with("/claim")).ok_or_else(bad)?.to_owned();
        let region = match host.split('.').collect::<Vec<_>>().as_slice() {
            _ if !way.region.is_empty() => way.region.to_owned(),
            [_, "execute-api", region, _, ..] => (*region).to_owned(),
            _ => return Err(bad()),
        };
        let mut sent = claim.clone();
        if !way.endpoint.is_empty() {
            sent = Url::parse(way.endpoint).map_err(|_| DeskError::Endpoint)?;
            sent.set_path(claim.path());
        }
        let mut builder = Client::builder()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .connect_timeout(CONNECT)
            .timeout(LIMIT)
            .pool_max_idle_per_host(1);
        if let Some(proxy) = way.proxy {
            let proxied = reqwest::Proxy::https(&proxy.url).map_err(DeskError::Client)?;
            builder = builder.proxy(proxied.no_proxy(NoProxy::from_string(&proxy.bypass)));
        }
        if sent.scheme() == "http" {
            builder = builder.tls_certs_only(Vec::new());
        }
        Ok(Self { http: builder.build().map_err(DeskError::Client)?, claim, sent, region })
    }

    /// Begins the launch under `claim`.
    pub(crate) async fn begin(&self, launch: &str, claim: &str, keys: &RoleKeys) -> Result<Said<Begun>, DeskError> {
        let body = json!({"do": "begin", "launch": launch, "claim": claim}).to_string();
        let mut request = self.http.post(self.sent.clone()).header(CONTENT_TYPE, "application/json");
        for (name, value) in self.signature(&body, keys)? {
            request = request.header(name, value);
        }
        let request = self.named(request).body(body);
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
    pub(crate) async fn say(&self, launch: &str, nonce: &str, word: &Value) -> Said<()> {
        let mut body = word.clone();
        body["launch"] = launch.into();
        body["nonce"] = nonce.into();
        let mut url = self.sent.clone();
        url.set_path(&format!("{}launch", self.claim.path().trim_end_matches("claim")));
        let request = self.named(self.http.post(url).header(CONTENT_TYPE, "application/json"));
        match judge(answer(request.body(body.to_string())).await) {
            Said::Yes(_) => Said::Yes(()),
            Said::No(why) => Said::No(why),
            Said::Again(why) => Said::Again(why),
        }
    }

    /// Names the API's host where the connection goes elsewhere.
    fn named(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        if self.sent.host_str() == self.claim.host_str() {
            request
        } else {
            request.header(HOST, authority(&self.claim))
        }
    }

    fn signature(&self, body: &str, keys: &RoleKeys) -> Result<Vec<(String, String)>, DeskError> {
        let wrong = |error: &dyn std::fmt::Display| DeskError::Sign(error.to_string());
        let session = Some(keys.session.expose().to_owned());
        let identity = Credentials::new(keys.key_id.expose(), keys.secret.expose(), session, None, "instance").into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
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

    fn desk(claim_url: &str, endpoint: &str, region: &str) -> Result<Desk, DeskError> {
        Desk::new(&Way { claim_url, endpoint, region, proxy: None })
    }

    #[test]
    fn the_region_is_in_the_urls_host_or_said() {
        let url = "https://abc.execute-api.eu-west-1.amazonaws.com/claim";
        assert_eq!(desk(url, "", "").unwrap().region, "eu-west-1");
        let local = desk("http://abc.execute-api.localhost:4566/claim", "http://127.0.0.1:4566", "us-east-1").unwrap();
        assert_eq!((local.region.as_str(), local.sent.as_str()), ("us-east-1", "http://127.0.0.1:4566/claim"));
        assert_eq!(authority(&local.claim), "abc.execute-api.localhost:4566");
        for bad in ["", "claim", "https://abc.execute-api.eu-west-1.amazonaws.com/", "https://example.com/claim"] {
            assert!(matches!(desk(bad, "", ""), Err(DeskError::Url(_))), "{bad}");
        }
    }

    #[test]
    fn the_signature_is_of_the_api_and_covers_host_and_session() {
        let keys =
            RoleKeys { key_id: Secret::new("AKID"), secret: Secret::new("secret"), session: Secret::new("session") };
        let desk = desk("https://abc.execute-api.eu-west-1.amazonaws.com/claim", "", "").unwrap();
        let headers = desk.signature("{}", &keys).unwrap();
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
