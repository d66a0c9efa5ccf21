//! Where AWS is and who we are there, said once for all clients.

use std::fmt;
use std::time::Duration;

use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use runnerless_core::way::Way;
use zeroize::Zeroizing;

use crate::connections::Connections;

/// Where AWS is, and the way there: clients that are made from one place, or from clones of it, share their connections.
#[derive(Clone, Debug)]
pub struct Place {
    /// The region.
    pub region: String,
    /// Another address than AWS's own, for the local stack.
    pub endpoint: Option<String>,
    connections: Connections,
}

impl Place {
    /// AWS in this region, or what stands in for it at `endpoint`.
    #[must_use]
    pub fn new(region: impl Into<String>, endpoint: Option<String>) -> Self {
        Self { region: region.into(), endpoint, connections: Connections::new(CONNECT) }
    }

    /// The same, by that way out: its proxy instead of the environment's, its certificates besides the system's.
    ///
    /// # Errors
    /// The proxy's URL cannot be used; the text says why, without the URL.
    pub fn through(self, way: &Way) -> Result<Self, String> {
        Ok(Self { connections: Connections::new(CONNECT).through(way)?, ..self })
    }

    /// Where a service of AWS is in this region, by the first part of its host; what stands in for AWS has all of them. Without
    /// a slash at the end.
    #[must_use]
    pub fn address(&self, service: &str) -> String {
        let domain = if self.region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
        let own = || format!("https://{service}.{}.{domain}", self.region);
        self.endpoint.as_ref().map_or_else(own, |endpoint| endpoint.trim_end_matches('/').to_owned())
    }

    #[doc(hidden)]
    #[must_use]
    pub fn connections(&self) -> Connections {
        self.connections.clone()
    }
}

/// Who we are there. In a function these are the role's, which Lambda puts into the environment for as long as the
/// execution environment lives.
#[derive(Clone)]
pub struct Credentials {
    /// The access key's id.
    pub key_id: String,
    /// The secret key.
    pub secret: Zeroizing<String>,
    /// The session token of temporary credentials.
    pub session: Option<Zeroizing<String>>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}

impl Credentials {
    #[doc(hidden)]
    #[must_use]
    pub fn provider(&self) -> aws_credential_types::Credentials {
        let session = self.session.as_ref().map(|text| text.to_string());
        aws_credential_types::Credentials::new(&self.key_id, self.secret.as_str(), session, None, "runnerless")
    }
}

/// One attempt of one call: DynamoDB, Parameter Store, the bus and invoke answer in milliseconds. A function lives for
/// ten to thirty seconds, so an attempt that hangs must leave room for the next.
const ATTEMPT: Duration = Duration::from_secs(3);
/// All attempts of one call together.
const OPERATION: Duration = Duration::from_secs(8);
/// A connection to AWS stands in well under this, or does not come.
const CONNECT: Duration = Duration::from_secs(2);
/// Attempts of one call; the SDK's back-off between them starts at [`FIRST_BACKOFF`].
const ATTEMPTS: u32 = 4;
/// The SDK's own default of a second is half a cold start.
const FIRST_BACKOFF: Duration = Duration::from_millis(50);

#[doc(hidden)]
#[must_use]
pub fn retries() -> RetryConfig {
    RetryConfig::standard().with_max_attempts(ATTEMPTS).with_initial_backoff(FIRST_BACKOFF)
}

#[doc(hidden)]
#[must_use]
pub fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(CONNECT)
        .operation_attempt_timeout(ATTEMPT)
        .operation_timeout(OPERATION)
        .build()
}

/// The configuration of a client of one SDK crate: `client!(aws_sdk_ssm, place, credentials)`.
#[doc(hidden)]
#[macro_export]
macro_rules! client {
    ($sdk:ident, $place:expr, $credentials:expr) => {{
        let mut config = $sdk::config::Builder::new()
            .behavior_version($sdk::config::BehaviorVersion::latest())
            .region($sdk::config::Region::new($place.region.clone()))
            .credentials_provider($credentials.provider())
            .http_client($place.connections())
            .retry_config($crate::retries())
            .timeout_config($crate::timeouts());
        config.set_endpoint_url($place.endpoint.clone());
        $sdk::Client::from_conf(config.build())
    }};
}
