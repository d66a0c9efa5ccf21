//! How calls to EC2 and Auto Scaling are made: how long they may take, and how often they are tried.

use std::time::Duration;

use aws_sdk_ec2::Client;
use aws_sdk_ec2::config::{BehaviorVersion, Builder, Region};
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use runnerless_aws::{Credentials, Place};

/// One attempt of a call but a launch; both services answer in well under a second, and for a thousand members in two.
pub(crate) const ATTEMPT: Duration = Duration::from_secs(5);
/// All attempts of such a call together. A run of the scaler has fifty seconds for some six of them and its scrapes.
pub(crate) const OPERATION: Duration = Duration::from_secs(12);
/// A connection stands in well under this, or does not come.
const CONNECT: Duration = Duration::from_secs(2);
/// Attempts of a call. Who is asked to slow down more often than that does so by the workflow, the sweep or the next run.
pub(crate) const ATTEMPTS: u32 = 3;
/// AWS refills the buckets of its throttles by the second: a first pause of milliseconds would waste an attempt.
const FIRST_BACKOFF: Duration = Duration::from_millis(200);
/// Instances in one page; EC2's most.
pub(crate) const PAGE: i32 = 1000;

/// A client of EC2.
pub(crate) fn ec2(place: &Place, credentials: &Credentials) -> Client {
    let mut config = Builder::new()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(place.region.clone()))
        .credentials_provider(credentials.provider())
        .http_client(place.connections())
        .retry_config(retries(ATTEMPTS))
        .timeout_config(timeouts(ATTEMPT, OPERATION));
    config.set_endpoint_url(place.endpoint.clone());
    Client::from_conf(config.build())
}

/// So many attempts in all.
pub(crate) fn retries(attempts: u32) -> RetryConfig {
    RetryConfig::standard().with_max_attempts(attempts).with_initial_backoff(FIRST_BACKOFF)
}

/// How long one attempt may take, and all of a call together.
pub(crate) fn timeouts(attempt: Duration, operation: Duration) -> TimeoutConfig {
    let timeouts = TimeoutConfig::builder().connect_timeout(CONNECT);
    timeouts.operation_attempt_timeout(attempt).operation_timeout(operation).build()
}
