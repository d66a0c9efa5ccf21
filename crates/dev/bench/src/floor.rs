//! What the floors share. A floor is the fastest function that we know to write with the same HTTP and TLS stack, SDK and
//! runtime client: it makes the same check of the same proof and the same calls to AWS, and nothing else. It validates
//! nothing, logs nothing, retries by the SDK's defaults and keeps no model of a row.

use std::sync::OnceLock;

use aws_credential_types::Credentials;
use aws_smithy_http_client::Connector;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_runtime_api::client::http::{HttpClient, HttpConnectorSettings, SharedHttpConnector};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// An event of API Gateway, as far as a floor looks.
#[derive(Debug, Deserialize)]
pub struct Event {
    headers: Sent,
    /// The raw body; an authorizer gets none.
    #[serde(default)]
    pub body: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Sent {
    x_gitlab_token: Option<String>,
    webhook_id: Option<String>,
    webhook_timestamp: Option<String>,
    webhook_signature: Option<String>,
}

/// The secrets of the front door, ready to compare with.
#[derive(Debug)]
pub struct Secrets {
    token: [u8; 32],
    key: Vec<u8>,
}

impl Secrets {
    /// Whether the token is right, or the signature over the body.
    #[must_use]
    pub fn prove(&self, event: &Event) -> bool {
        let sent = &event.headers;
        match (&sent.webhook_signature, &sent.webhook_id, &sent.webhook_timestamp) {
            (Some(signature), Some(id), Some(at)) => self.signed(signature, id, at, event.body.as_bytes()),
            _ => self.token(event),
        }
    }

    /// Whether the token is right, or the headers of a signature are there.
    #[must_use]
    pub fn filter(&self, event: &Event) -> bool {
        event.headers.webhook_signature.is_some() || self.token(event)
    }

    fn token(&self, event: &Event) -> bool {
        let Some(token) = &event.headers.x_gitlab_token else { return false };
        let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        digest.ct_eq(&self.token).into()
    }

    fn signed(&self, signature: &str, id: &str, at: &str, body: &[u8]) -> bool {
        let digest = signature.strip_prefix("v1,").and_then(|text| STANDARD.decode(text).ok());
        let (Some(digest), Ok(mut mac)) = (digest, Hmac::<Sha256>::new_from_slice(&self.key)) else { return false };
        for part in [id.as_bytes(), b".", at.as_bytes(), b".", body] {
            mac.update(part);
        }
        mac.verify_slice(&digest).is_ok()
    }
}

/// Reads the secrets by one call, once.
#[derive(Debug)]
pub struct SecretStore {
    client: aws_sdk_ssm::Client,
    path: String,
    held: OnceLock<Secrets>,
}

impl SecretStore {
    /// Below the path of the environment.
    #[must_use]
    pub fn new(aws: &Aws) -> Self {
        let path = format!("{}/ingress", variable("RUNNERLESS_PARAMETER_PATH"));
        Self { client: crate::floor_client!(aws_sdk_ssm, aws), path, held: OnceLock::new() }
    }

    /// The secrets.
    ///
    /// # Errors
    /// They cannot be read.
    pub async fn get(&self) -> Result<&Secrets, Error> {
        if let Some(secrets) = self.held.get() {
            return Ok(secrets);
        }
        let call = self.client.get_parameters_by_path().path(&self.path).recursive(true).with_decryption(true);
        let parameters = call.send().await?.parameters.unwrap_or_default();
        let value = |name: &str| {
            let named =
                |parameter: &&aws_sdk_ssm::types::Parameter| parameter.name().is_some_and(|full| full.ends_with(name));
            parameters.iter().find(named).and_then(|parameter| parameter.value()).unwrap_or_default()
        };
        let key = STANDARD.decode(value("/SigningToken").trim_start_matches("whsec_"))?;
        let token = Sha256::digest(value("/SecretToken").as_bytes()).into();
        Ok(self.held.get_or_init(|| Secrets { token, key }))
    }
}

/// What all clients share: one pool of connections and one TLS configuration.
#[derive(Debug)]
pub struct Aws {
    /// The one connector.
    pub http: OneConnector,
    /// The role's keys.
    pub credentials: Credentials,
    /// The region.
    pub region: String,
    /// Another address than AWS's own.
    pub endpoint: Option<String>,
}

impl Aws {
    /// As the environment says.
    #[must_use]
    pub fn of_environment() -> Self {
        let http = Connector::builder().tls_provider(Provider::Rustls(CryptoMode::AwsLc)).build();
        let (key, secret) = (variable("AWS_ACCESS_KEY_ID"), variable("AWS_SECRET_ACCESS_KEY"));
        Self {
            http: OneConnector(SharedHttpConnector::new(http)),
            credentials: Credentials::from_keys(key, secret, None),
            region: variable("AWS_REGION"),
            endpoint: Some(variable("AWS_ENDPOINT_URL")).filter(|url| !url.is_empty()),
        }
    }
}

/// The same connector for every client: an SDK client that is left alone reads the root certificates twice.
#[derive(Clone, Debug)]
pub struct OneConnector(SharedHttpConnector);

impl HttpClient for OneConnector {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        self.0.clone()
    }
}

/// A client of one SDK crate.
#[macro_export]
macro_rules! floor_client {
    ($sdk:ident, $aws:expr) => {{
        let mut config = $sdk::config::Builder::new()
            .behavior_version($sdk::config::BehaviorVersion::latest())
            .region($sdk::config::Region::new($aws.region.clone()))
            .credentials_provider($aws.credentials.clone())
            .http_client($aws.http.clone());
        config.set_endpoint_url($aws.endpoint.clone());
        $sdk::Client::from_conf(config.build())
    }};
}

/// A variable of the environment; empty when it is not set.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "a floor takes the shortest way to its environment")]
pub fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}

/// Serves events on one thread until the process is ended.
///
/// # Errors
/// The runtime could not be reached.
pub fn serve<S, R, F, Fut>(state: S, handle: F) -> Result<(), Error>
where
    S: Send + Sync + 'static,
    R: Serialize + Send + 'static,
    F: Fn(&'static S, Event) -> Fut + Copy + Send + Sync + 'static,
    Fut: Future<Output = Result<R, Error>> + Send + 'static,
    Event: DeserializeOwned,
{
    // It lives as long as the process.
    let state: &'static S = Box::leak(Box::new(state));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(lambda_runtime::run(service_fn(move |event: LambdaEvent<Event>| handle(state, event.payload))))
}
