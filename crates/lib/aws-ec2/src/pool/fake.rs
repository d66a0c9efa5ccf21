//! Auto Scaling in memory, with the semantics that matter: limits, hooks, protection, what only happens later, refusals
//! and answers that are lost. It refuses what Auto Scaling refuses.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use runnerless_aws::{AwsError, Service};
use runnerless_core::pool::{Group, Member, Phase};
use runnerless_core::time::Timestamp;

use super::{Left, Machine, Pool};
use crate::fake::Trouble;

/// The processes of a group.
const PROCESSES: [&str; 9] = [
    "Launch",
    "Terminate",
    "AddToLoadBalancer",
    "AlarmNotification",
    "AZRebalance",
    "HealthCheck",
    "InstanceRefresh",
    "ReplaceUnhealthy",
    "ScheduledActions",
];

/// An operation of the port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PoolOperation {
    /// See [`Pool::group`].
    DescribeAutoScalingGroups,
    /// See [`Pool::machines`].
    DescribeInstances,
    /// See [`Pool::set_desired`].
    SetDesiredCapacity,
    /// See [`Pool::retire`].
    TerminateInstanceInAutoScalingGroup,
    /// See [`Pool::protect`].
    SetInstanceProtection,
    /// See [`Pool::suspend`].
    SuspendProcesses,
}

/// A call that changes something, as it was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// See [`Pool::set_desired`].
    Desired(u32),
    /// See [`Pool::retire`].
    Retire(String, bool),
    /// See [`Pool::protect`].
    Protect(Vec<String>),
    /// See [`Pool::suspend`].
    Suspend(String),
}

#[derive(Debug, Default)]
struct State {
    groups: BTreeMap<String, Group>,
    machines: BTreeMap<String, Machine>,
    troubles: BTreeMap<PoolOperation, VecDeque<Trouble>>,
    asked: Vec<Asked>,
    calls: u64,
    launched: u64,
}

/// An account's Auto Scaling groups. Nothing happens by itself: see [`FakePool::launch`] and [`FakePool::enter`].
#[derive(Debug, Default)]
pub struct FakePool {
    state: Mutex<State>,
}

impl FakePool {
    /// There is this group, as it is here.
    pub fn put(&self, group: Group) {
        self.state().groups.insert(group.name.clone(), group);
    }

    /// EC2 shows this of an instance.
    pub fn show(&self, instance: &str, machine: Machine) {
        self.state().machines.insert(instance.to_owned(), machine);
    }

    /// The group launches what it lacks: the new members' ids. They have no address yet.
    pub fn launch(&self, group: &str, now: Timestamp) -> Vec<String> {
        let mut state = self.state();
        let Some(found) = state.groups.get(group) else { return Vec::new() };
        let there = found.members.iter().filter(|member| member.phase.counts()).count();
        let lacks = usize::try_from(found.desired).unwrap_or(usize::MAX).saturating_sub(there);
        let protected = found.protects_new_members;
        let mut ids = Vec::new();
        for _ in 0..lacks {
            state.launched += 1;
            let id = format!("i-{:017x}", state.launched);
            state.machines.insert(id.clone(), Machine { address: None, launched_at: now });
            ids.push(id);
        }
        let member = |id: &String| Member { id: id.clone(), phase: Phase::Booting, protected, launched_at: None };
        if let Some(found) = state.groups.get_mut(group) {
            found.members.extend(ids.iter().map(member));
        }
        ids
    }

    /// A member is in this phase now.
    pub fn enter(&self, instance: &str, phase: Phase) {
        let mut state = self.state();
        if let Some(member) = state.member(instance) {
            member.phase = phase;
        }
    }

    /// A member is gone: its hook was answered, or its machine died.
    pub fn remove(&self, instance: &str) {
        let mut state = self.state();
        state.machines.remove(instance);
        for group in state.groups.values_mut() {
            group.members.retain(|member| member.id != instance);
        }
    }

    /// The next call of this operation comes to this; several, the next calls in turn.
    pub fn trouble(&self, operation: PoolOperation, trouble: Trouble) {
        self.state().troubles.entry(operation).or_default().push_back(trouble);
    }

    /// The group as it is; `None`: there is none of this name.
    #[must_use]
    pub fn now(&self, group: &str) -> Option<Group> {
        self.state().groups.get(group).cloned()
    }

    /// Every call that was to change something, in order, those that failed too.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        self.state().asked.clone()
    }

    /// How many calls it took so far.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.state().calls
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Carries out what `act` does unless a trouble was set for it.
    fn call<T>(
        &self,
        operation: PoolOperation,
        asked: Option<Asked>,
        act: impl FnOnce(&mut State) -> Result<T, AwsError>,
    ) -> Result<T, AwsError> {
        let mut state = self.state();
        state.calls += 1;
        state.asked.extend(asked);
        match state.troubles.get_mut(&operation).and_then(VecDeque::pop_front) {
            None => act(&mut state),
            Some(Trouble::Throttled) => Err(throttled(operation, "Throttling")),
            Some(Trouble::NoAnswer) => Err(unanswered(operation)),
            Some(Trouble::LostAnswer) => act(&mut state).and_then(|_| Err(unanswered(operation))),
            Some(Trouble::Refused) => Err(refused(operation, "AccessDenied")),
        }
    }
}

impl State {
    fn member(&mut self, instance: &str) -> Option<&mut Member> {
        self.groups.values_mut().flat_map(|group| &mut group.members).find(|member| member.id == instance)
    }

    fn group(&mut self, operation: PoolOperation, name: &str) -> Result<&mut Group, AwsError> {
        self.groups.get_mut(name).ok_or_else(|| refused(operation, "AutoScalingGroup name not found"))
    }

    fn retire(&mut self, instance: &str, lower_desired: bool) -> Result<Left, AwsError> {
        const OPERATION: PoolOperation = PoolOperation::TerminateInstanceInAutoScalingGroup;
        let of = |group: &&mut Group| group.members.iter().any(|member| member.id == instance);
        let Some(group) = self.groups.values_mut().find(of) else { return Ok(Left::Gone) };
        let has_hook = group.hook.is_some();
        let Some(member) = group.members.iter_mut().find(|member| member.id == instance) else { return Ok(Left::Gone) };
        if member.phase == Phase::Leaving {
            return Err(throttled(OPERATION, "ScalingActivityInProgress"));
        }
        if lower_desired {
            if group.desired <= group.minimum {
                return Err(refused(OPERATION, "terminating without replacement would violate the minimum"));
            }
            group.desired -= 1;
        }
        if has_hook {
            member.phase = Phase::Leaving;
        } else {
            group.members.retain(|member| member.id != instance);
            self.machines.remove(instance);
        }
        Ok(Left::Asked)
    }
}

impl Pool for FakePool {
    async fn group(&self, name: &str) -> Result<Option<Group>, AwsError> {
        self.call(PoolOperation::DescribeAutoScalingGroups, None, |state| {
            let group = state.groups.get(name).cloned();
            Ok(group.map(|mut group| {
                group.members.iter_mut().for_each(|member| member.launched_at = None);
                group
            }))
        })
    }

    async fn machines(&self, group: &str) -> Result<BTreeMap<String, Machine>, AwsError> {
        self.call(PoolOperation::DescribeInstances, None, |state| {
            let members = state.groups.get(group).into_iter().flat_map(|group| &group.members);
            let shown = members.filter_map(|member| Some((member.id.clone(), *state.machines.get(&member.id)?)));
            Ok(shown.collect())
        })
    }

    async fn set_desired(&self, group: &str, desired: u32) -> Result<(), AwsError> {
        let operation = PoolOperation::SetDesiredCapacity;
        self.call(operation, Some(Asked::Desired(desired)), |state| {
            let group = state.group(operation, group)?;
            if !(group.minimum..=group.maximum).contains(&desired) {
                return Err(refused(operation, "the new desired capacity is not between minimum and maximum"));
            }
            group.desired = desired;
            Ok(())
        })
    }

    async fn retire(&self, instance: &str, lower_desired: bool) -> Result<Left, AwsError> {
        let asked = Asked::Retire(instance.to_owned(), lower_desired);
        self.call(PoolOperation::TerminateInstanceInAutoScalingGroup, Some(asked), |state| {
            state.retire(instance, lower_desired)
        })
    }

    async fn protect(&self, group: &str, instances: &[String]) -> Result<(), AwsError> {
        let operation = PoolOperation::SetInstanceProtection;
        self.call(operation, Some(Asked::Protect(instances.to_vec())), |state| {
            let group = state.group(operation, group)?;
            let may = |member: &&Member| {
                matches!(&member.phase, Phase::InService)
                    || matches!(&member.phase, Phase::Other(state) if state.ends_with("Standby"))
            };
            let known = |id: &String| group.members.iter().filter(may).any(|member| member.id == *id);
            if !instances.iter().all(known) {
                return Err(refused(operation, "an instance is not in InService or EnteringStandby or Standby"));
            }
            let named = |member: &&mut Member| instances.contains(&member.id);
            group.members.iter_mut().filter(named).for_each(|member| member.protected = true);
            Ok(())
        })
    }

    async fn suspend(&self, group: &str, process: &str) -> Result<(), AwsError> {
        let operation = PoolOperation::SuspendProcesses;
        self.call(operation, Some(Asked::Suspend(process.to_owned())), |state| {
            let group = state.group(operation, group)?;
            if !PROCESSES.contains(&process) {
                return Err(refused(operation, "there is no such process"));
            }
            if !group.suspends(process) {
                group.suspended.push(process.to_owned());
            }
            Ok(())
        })
    }
}

const fn name(operation: PoolOperation) -> &'static str {
    match operation {
        PoolOperation::DescribeAutoScalingGroups => "DescribeAutoScalingGroups",
        PoolOperation::DescribeInstances => "DescribeInstances",
        PoolOperation::SetDesiredCapacity => "SetDesiredCapacity",
        PoolOperation::TerminateInstanceInAutoScalingGroup => "TerminateInstanceInAutoScalingGroup",
        PoolOperation::SetInstanceProtection => "SetInstanceProtection",
        PoolOperation::SuspendProcesses => "SuspendProcesses",
    }
}

fn throttled(operation: PoolOperation, code: &'static str) -> AwsError {
    AwsError::Throttled { service: Service::Scaling, operation: name(operation), source: code.into() }
}

fn unanswered(operation: PoolOperation) -> AwsError {
    AwsError::Unavailable { service: Service::Scaling, operation: name(operation), source: "the test said so".into() }
}

fn refused(operation: PoolOperation, why: &'static str) -> AwsError {
    AwsError::Refused { service: Service::Scaling, operation: name(operation), source: why.into() }
}
