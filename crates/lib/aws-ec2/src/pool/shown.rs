//! From AWS's form of a group and its members to ours. What is missing in it is no zero: such an answer is not usable.

use aws_sdk_autoscaling::types::{AutoScalingGroup, Instance as ShownMember, LifecycleHook};
use aws_sdk_ec2::types::Instance;
use runnerless_aws::{AwsError, Service};
use runnerless_core::pool::{Group, Hook, Member, Phase};
use runnerless_core::time::{Millis, Timestamp};

use super::Machine;

/// The transition whose hooks let a member finish.
const TERMINATING: &str = "autoscaling:EC2_INSTANCE_TERMINATING";

/// What the SDK writes into a state that AWS left out.
const UNSET: &str = "no value was set";

/// A group. Its numbers are there: where AWS left them out, the SDK says zero, and AWS never does.
pub(super) fn group(name: &str, shown: &AutoScalingGroup, hook: Option<Hook>) -> Result<Group, AwsError> {
    const OPERATION: &str = "DescribeAutoScalingGroups";
    let without = |what: &str| unusable(OPERATION, format!("{name} without {what}"));
    let number = |shown: Option<i32>, what: &str| {
        shown.and_then(|number| u32::try_from(number).ok()).ok_or_else(|| without(what))
    };
    // A status is there while the group is being deleted, and only then.
    if let Some(status) = shown.status().filter(|status| !status.is_empty()) {
        return Err(unusable(OPERATION, format!("{name} in the state {status:?}")));
    }
    let suspended = shown.suspended_processes().iter().filter_map(|process| process.process_name());
    Ok(Group {
        name: name.to_owned(),
        minimum: number(shown.min_size(), "MinSize")?,
        maximum: number(shown.max_size(), "MaxSize")?,
        desired: number(shown.desired_capacity(), "DesiredCapacity")?,
        protects_new_members: shown.new_instances_protected_from_scale_in().unwrap_or(false),
        suspended: suspended.map(str::to_owned).collect(),
        hook,
        members: shown.instances().iter().map(member).collect::<Result<_, _>>()?,
    })
}

fn member(shown: &ShownMember) -> Result<Member, AwsError> {
    const OPERATION: &str = "DescribeAutoScalingGroups";
    // The SDK writes something into fields that every member has, where AWS left them out.
    let id = shown.instance_id().filter(|id| id.starts_with("i-"));
    let id = id.ok_or_else(|| unusable(OPERATION, "a member without an id".to_owned()))?;
    let state = shown.lifecycle_state().filter(|state| state.as_str() != UNSET);
    let state = state.ok_or_else(|| unusable(OPERATION, format!("{id} without a state")))?;
    Ok(Member {
        id: id.to_owned(),
        phase: Phase::of(state.as_str()),
        // One that does not say so is protected again, which changes nothing where it was.
        protected: shown.protected_from_scale_in().unwrap_or(false),
        launched_at: None,
    })
}

/// The hook of members that terminate; of several the one with the shortest heartbeat, whose end may be all of theirs.
pub(super) fn hook(shown: &[LifecycleHook]) -> Result<Option<Hook>, AwsError> {
    let of_terminating = shown.iter().filter(|hook| hook.lifecycle_transition() == Some(TERMINATING));
    let hooks = of_terminating.map(|shown| {
        let without = |what: &str| {
            let name = shown.lifecycle_hook_name().unwrap_or_default();
            unusable("DescribeLifecycleHooks", format!("the hook {name:?} without {what}"))
        };
        let seconds = shown.heartbeat_timeout().ok_or_else(|| without("HeartbeatTimeout"))?;
        Ok(Hook {
            name: shown.lifecycle_hook_name().ok_or_else(|| without("a name"))?.to_owned(),
            heartbeat: Millis::secs(seconds.into()),
            default_result: shown.default_result().ok_or_else(|| without("DefaultResult"))?.to_owned(),
        })
    });
    let hooks: Vec<Hook> = hooks.collect::<Result<_, AwsError>>()?;
    Ok(hooks.into_iter().min_by_key(|hook| hook.heartbeat))
}

/// An instance with its id; `None` for one that is not told whole yet: it is asked for again a minute later.
pub(super) fn machine(shown: &Instance) -> Option<(String, Machine)> {
    let launched_at = Timestamp(shown.launch_time()?.to_millis().ok()?);
    let address = shown.private_ip_address().and_then(|text| text.parse().ok());
    Some((shown.instance_id()?.to_owned(), Machine { address, launched_at }))
}

fn unusable(operation: &'static str, what: String) -> AwsError {
    let source = format!("Auto Scaling shows {what}").into();
    AwsError::Unavailable { service: Service::Scaling, operation, source }
}
