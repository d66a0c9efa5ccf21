//! What a member of a group says to Auto Scaling while it leaves: that its hook is still needed, and that it is not any more.
//!
//! No port: who speaks this way is one program, which its tests drive over HTTP.

use std::time::Duration;

use aws_sdk_autoscaling::Client;
use aws_sdk_autoscaling::config::{BehaviorVersion, Builder, Region};
use aws_sdk_autoscaling::error::ProvideErrorMetadata as _;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use runnerless_aws::{AwsError, Credentials, Place, Service, failure};

/// One attempt; Auto Scaling answers in well under a second.
const ATTEMPT: Duration = Duration::from_secs(5);
/// All attempts of one call together: shorter than the shortest time between two heartbeats.
const OPERATION: Duration = Duration::from_secs(9);
/// A connection stands in well under this, or does not come.
const CONNECT: Duration = Duration::from_secs(2);
/// Attempts of one call. Who is put off says the same at one of his next looks.
const ATTEMPTS: u32 = 2;
/// The hook's answer: the instance may end. `ABANDON` would end it, too, and skip the hooks that come after.
const CONTINUE: &str = "CONTINUE";
/// The code of what Auto Scaling finds wrong with a request, and what it says when no hook of this instance waits.
const INVALID: &str = "ValidationError";
const NOTHING_WAITS: &str = "No active Lifecycle Action found";

/// The hook at which an instance waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hooked {
    /// The group's name.
    pub group: String,
    /// The hook's name.
    pub hook: String,
    /// The instance.
    pub instance: String,
}

/// What became of a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// It was taken.
    Taken,
    /// The instance does not wait at this hook: not yet, or not any more.
    NothingWaits,
}

/// Auto Scaling, for one member.
#[derive(Clone, Debug)]
pub struct Leave {
    client: Client,
    hooked: Hooked,
}

impl Leave {
    /// By the instance's own keys.
    #[must_use]
    pub fn new(place: &Place, credentials: &Credentials, hooked: Hooked) -> Self {
        let timeouts = TimeoutConfig::builder().connect_timeout(CONNECT).operation_attempt_timeout(ATTEMPT);
        let mut config = Builder::new()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(place.region.clone()))
            .credentials_provider(credentials.provider())
            .http_client(place.connections())
            .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
            .timeout_config(timeouts.operation_timeout(OPERATION).build());
        config.set_endpoint_url(place.endpoint.clone());
        Self { client: Client::from_conf(config.build()), hooked }
    }

    /// The hook is still needed.
    ///
    /// # Errors
    /// No answer, or another refusal than that nothing waits.
    pub async fn beat(&self) -> Result<Heard, AwsError> {
        let Hooked { group, hook, instance } = &self.hooked;
        let call = self.client.record_lifecycle_action_heartbeat().auto_scaling_group_name(group);
        match call.lifecycle_hook_name(hook).instance_id(instance).send().await {
            Ok(_) => Ok(Heard::Taken),
            Err(error) if nothing_waits(error.code(), error.message()) => Ok(Heard::NothingWaits),
            Err(error) => Err(failure(Service::Scaling, "RecordLifecycleActionHeartbeat", error)),
        }
    }

    /// The instance may end.
    ///
    /// # Errors
    /// As above.
    pub async fn complete(&self) -> Result<Heard, AwsError> {
        let Hooked { group, hook, instance } = &self.hooked;
        let call = self.client.complete_lifecycle_action().auto_scaling_group_name(group).lifecycle_hook_name(hook);
        match call.instance_id(instance).lifecycle_action_result(CONTINUE).send().await {
            Ok(_) => Ok(Heard::Taken),
            Err(error) if nothing_waits(error.code(), error.message()) => Ok(Heard::NothingWaits),
            Err(error) => Err(failure(Service::Scaling, "CompleteLifecycleAction", error)),
        }
    }
}

fn nothing_waits(code: Option<&str>, message: Option<&str>) -> bool {
    code == Some(INVALID) && message.is_some_and(|message| message.contains(NOTHING_WAITS))
}
