//! Auto Scaling, and EC2 for its members' addresses.

use std::collections::BTreeMap;

use aws_sdk_autoscaling::Client;
use aws_sdk_autoscaling::config::{BehaviorVersion, Builder, Region};
use aws_sdk_autoscaling::error::ProvideErrorMetadata as _;
use aws_sdk_autoscaling::types::AutoScalingGroup;
use aws_sdk_ec2::types::Filter;
use runnerless_aws::{AwsError, Credentials, Place, Service, failure};
use runnerless_core::pool::{Group, Hook};

use super::{Left, Machine, Pool, shown};
use crate::calls::{self, ATTEMPT, ATTEMPTS, OPERATION, PAGE, retries, timeouts};

/// Instances that are protected by one call; Auto Scaling's most.
const PROTECTED_AT_ONCE: usize = 50;
/// The tag by which Auto Scaling marks the instances of a group. Nobody else can set it.
const GROUP_TAG: &str = "tag:aws:autoscaling:groupName";
/// States of instances that may have an address.
const THERE: [&str; 2] = ["pending", "running"];
/// The code for a request that Auto Scaling does not take, whatever is wrong with it.
const INVALID: &str = "ValidationError";
/// What Auto Scaling says of an instance that is no member, in any group, beside [`INVALID`].
const NO_MEMBER: &str = "No managed instance found";

/// Auto Scaling.
#[derive(Clone, Debug)]
pub struct AutoScaling {
    scaling: Client,
    ec2: aws_sdk_ec2::Client,
}

impl AutoScaling {
    /// The account's.
    #[must_use]
    pub fn new(place: &Place, credentials: &Credentials) -> Self {
        let mut scaling = Builder::new()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(place.region.clone()))
            .credentials_provider(credentials.provider())
            .http_client(place.connections())
            .retry_config(retries(ATTEMPTS))
            .timeout_config(timeouts(ATTEMPT, OPERATION));
        scaling.set_endpoint_url(place.endpoint.clone());
        Self { scaling: Client::from_conf(scaling.build()), ec2: calls::ec2(place, credentials) }
    }

    async fn shown(&self, name: &str) -> Result<Option<AutoScalingGroup>, AwsError> {
        let call = self.scaling.describe_auto_scaling_groups().auto_scaling_group_names(name);
        let answer = call.send().await;
        let answer = answer.map_err(|error| failure(Service::Scaling, "DescribeAutoScalingGroups", error))?;
        let is_it = |group: &AutoScalingGroup| group.auto_scaling_group_name() == Some(name);
        Ok(answer.auto_scaling_groups.unwrap_or_default().into_iter().find(is_it))
    }

    async fn hook(&self, name: &str) -> Result<Option<Hook>, AwsError> {
        let answer = self.scaling.describe_lifecycle_hooks().auto_scaling_group_name(name).send().await;
        let answer = answer.map_err(|error| failure(Service::Scaling, "DescribeLifecycleHooks", error))?;
        shown::hook(answer.lifecycle_hooks())
    }
}

/// Auto Scaling takes numbers of this kind; a group of two thousand million members is none.
fn number(desired: u32) -> i32 {
    i32::try_from(desired).unwrap_or(i32::MAX)
}

impl Pool for AutoScaling {
    async fn group(&self, name: &str) -> Result<Option<Group>, AwsError> {
        let Some(group) = self.shown(name).await? else { return Ok(None) };
        Ok(Some(shown::group(name, &group, self.hook(name).await?)?))
    }

    async fn machines(&self, group: &str) -> Result<BTreeMap<String, Machine>, AwsError> {
        let filter = |name: &str, values: &[&str]| {
            Filter::builder()
                .name(name)
                .set_values(Some(values.iter().map(|&value| value.to_owned()).collect()))
                .build()
        };
        let filters = vec![filter(GROUP_TAG, &[group]), filter("instance-state-name", &THERE)];
        let mut machines = BTreeMap::new();
        let mut from = None;
        loop {
            let call = self.ec2.describe_instances().set_filters(Some(filters.clone())).max_results(PAGE);
            let answer = call.set_next_token(from).send().await;
            let answer = answer.map_err(|error| failure(Service::Fleet, "DescribeInstances", error))?;
            for instance in answer.reservations().iter().flat_map(|reservation| reservation.instances()) {
                machines.extend(shown::machine(instance));
            }
            from = answer.next_token.filter(|token| !token.is_empty());
            if from.is_none() {
                return Ok(machines);
            }
        }
    }

    async fn set_desired(&self, group: &str, desired: u32) -> Result<(), AwsError> {
        // Without the cooldown: the warm-up of members that were just launched is counted with already.
        let call = self.scaling.set_desired_capacity().auto_scaling_group_name(group).honor_cooldown(false);
        let answer = call.desired_capacity(number(desired)).send().await;
        answer.map(|_| ()).map_err(|error| failure(Service::Scaling, "SetDesiredCapacity", error))
    }

    async fn retire(&self, instance: &str, lower_desired: bool) -> Result<Left, AwsError> {
        let call = self.scaling.terminate_instance_in_auto_scaling_group().instance_id(instance);
        let call = call.should_decrement_desired_capacity(lower_desired).customize();
        match call.config_override(Builder::new().retry_config(retries(1))).send().await {
            Ok(_) => Ok(Left::Asked),
            Err(error)
                if error.code() == Some(INVALID) && error.message().is_some_and(|text| text.contains(NO_MEMBER)) =>
            {
                Ok(Left::Gone)
            }
            Err(error) => Err(failure(Service::Scaling, "TerminateInstanceInAutoScalingGroup", error)),
        }
    }

    async fn protect(&self, group: &str, instances: &[String]) -> Result<(), AwsError> {
        for some in instances.chunks(PROTECTED_AT_ONCE) {
            let call = self.scaling.set_instance_protection().auto_scaling_group_name(group);
            let call = call.set_instance_ids(Some(some.to_vec())).protected_from_scale_in(true);
            call.send().await.map_err(|error| failure(Service::Scaling, "SetInstanceProtection", error))?;
        }
        Ok(())
    }

    async fn suspend(&self, group: &str, process: &str) -> Result<(), AwsError> {
        let call = self.scaling.suspend_processes().auto_scaling_group_name(group).scaling_processes(process);
        call.send().await.map(|_| ()).map_err(|error| failure(Service::Scaling, "SuspendProcesses", error))
    }
}
