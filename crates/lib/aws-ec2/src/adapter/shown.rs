//! From EC2's form of an instance to ours. What is missing in it is no zero: such an answer is not usable.

use aws_sdk_ec2::types::{Instance as Shown, InstanceLifecycleType};
use runnerless_aws::{AwsError, Service};
use runnerless_core::fleet::{Instance, InstanceState};
use runnerless_core::time::Timestamp;

/// An instance.
pub(super) fn instance(shown: &Shown) -> Result<Instance, AwsError> {
    let id = shown.instance_id().ok_or_else(|| unusable("an instance without an id".to_owned()))?;
    let without = |what: &str| unusable(format!("{id} without {what}"));
    let state = shown.state().and_then(|state| state.name()).ok_or_else(|| without("a state"))?.as_str();
    let launched_at = shown.launch_time().and_then(|time| time.to_millis().ok());
    let tags = shown.tags().iter().filter_map(|tag| Some((tag.key()?.to_owned(), tag.value()?.to_owned())));
    Ok(Instance {
        id: id.to_owned(),
        state: InstanceState::parse(state).ok_or_else(|| unusable(format!("{id} in the state {state:?}")))?,
        tags: tags.collect(),
        launched_at: Timestamp(launched_at.ok_or_else(|| without("a time of its launch"))?),
        instance_type: shown.instance_type().map(|kind| kind.as_str().to_owned()).unwrap_or_default(),
        subnet: shown.subnet_id().unwrap_or_default().to_owned(),
        spot: shown.instance_lifecycle() == Some(&InstanceLifecycleType::Spot),
        profile: shown.iam_instance_profile().and_then(|profile| profile.arn()).map(str::to_owned),
    })
}

fn unusable(what: String) -> AwsError {
    let source = format!("EC2 shows {what}").into();
    AwsError::Unavailable { service: Service::Fleet, operation: "DescribeInstances", source }
}
