//! The way to a pool: Auto Scaling, what EC2 shows of members, their metrics, and the hook of one that leaves.

use std::collections::BTreeMap;
use std::net::IpAddr;

use runnerless_aws::{AwsError, Service};
use runnerless_aws_ec2::leave::Heard;
use runnerless_aws_ec2::pool::Left;
use runnerless_aws_ec2::{Machine, Pool};
use runnerless_core::pool::Group;
use runnerless_core::time::Millis;
use runnerless_gitlab::metrics::{NoTable, Table, Tables};
use runnerless_lambda_kit::Clock as _;

use super::{Call, Hands, SLOW, TRIP, at_once};
use crate::check::By;
use crate::fault::Fault;
use crate::pool::{self, Silence, agent, answers};

/// What Auto Scaling shows is at most so old.
const BEHIND: Millis = Millis::secs(60);
/// How long the scaler waits for one member's metrics.
const PATIENCE: Millis = Millis::secs(2);

fn asks(operation: &'static str) -> Call {
    Call {
        service: Service::Scaling,
        operation,
        throttled: Some(Fault::ScalingThrottled),
        failed: Some(Fault::ScalingFailed),
        answer_lost: Some(Fault::ScalingAnswerLost),
        slow: None,
    }
}

fn reads(operation: &'static str) -> Call {
    Call { answer_lost: None, ..asks(operation) }
}

impl Hands<'_> {
    /// What Auto Scaling shows of the group: as it is, or as it was a little while ago.
    fn shown(&self, name: &str) -> Result<Option<Group>, AwsError> {
        let fresh = at_once(self.world.scaling.group(name))?;
        let behind = self.strikes(Fault::ScalingBehind);
        let now = self.world.now();
        let mut state = self.world.state();
        let Some(pool) = &mut state.pool else { return Ok(fresh) };
        pool.shown.retain(|(at, _)| now - *at <= BEHIND);
        let old = pool.shown.front().filter(|_| behind).cloned();
        pool.shown.extend(fresh.clone().map(|group| (now, group)));
        let (at, group) = old.map_or((now, fresh), |(at, group)| (at, Some(group)));
        if let Some(group) = &group {
            state.check.looked(self.process.number, at, group);
        }
        Ok(group)
    }

    /// A call that changes the group: whoever makes it must be allowed to.
    async fn changes<T>(&self, call: Call, effect: impl FnOnce() -> Result<T, AwsError> + Send) -> Result<T, AwsError> {
        let number = self.process.number;
        self.world.state().check.acts(number, call.operation);
        let done = self.call(call, effect).await;
        if let Err(error) = &done {
            self.world.note(format_args!("{self} fails at it: {error}"));
            self.world.state().check.act_failed(number);
        }
        done
    }

    /// Somebody is at it by hand while this run is under way.
    fn meets_a_hand(&self) {
        if self.strikes(Fault::GroupByHand) {
            pool::by_hand(self.world);
        }
    }

    /// The hook of this member is still needed.
    pub(crate) async fn beats(&self, id: &str) -> Result<Heard, AwsError> {
        self.call(asks("RecordLifecycleActionHeartbeat"), || Ok(agent::beaten(self, id))).await
    }

    /// This member may end.
    pub(crate) async fn completes(&self, id: &str) -> Result<Heard, AwsError> {
        self.call(asks("CompleteLifecycleAction"), || Ok(agent::completed(self, id))).await
    }
}

impl Pool for Hands<'_> {
    async fn group(&self, name: &str) -> Result<Option<Group>, AwsError> {
        let shown = self.call(reads("DescribeAutoScalingGroups"), || self.shown(name)).await;
        if shown.is_err() {
            self.world.state().check.act_failed(self.process.number);
        }
        shown
    }

    async fn machines(&self, group: &str) -> Result<BTreeMap<String, Machine>, AwsError> {
        let shown = self.call(reads("DescribeInstances"), || at_once(self.world.scaling.machines(group))).await;
        self.meets_a_hand();
        shown
    }

    async fn set_desired(&self, group: &str, desired: u32) -> Result<(), AwsError> {
        let effect = || {
            let before = self.world.scaling.now(group).map_or(0, |group| group.desired);
            at_once(self.world.scaling.set_desired(group, desired))?;
            self.world.note(format_args!("{self} sets the desired capacity from {before} to {desired}"));
            let now = self.world.now();
            self.world.state().check.desired_set(self.process.number, (before, desired), now);
            pool::seems(self.world);
            Ok(())
        };
        self.changes(asks("SetDesiredCapacity"), effect).await
    }

    async fn retire(&self, instance: &str, lower_desired: bool) -> Result<Left, AwsError> {
        let effect = || {
            let left = at_once(self.world.scaling.retire(instance, lower_desired))?;
            if left == Left::Asked {
                let desired = self.world.scaling.now(pool::GROUP).map_or(0, |group| group.desired);
                let now = self.world.now();
                self.world.state().check.let_go(self.process.number, instance, (desired, lower_desired), now);
                pool::leaves(self.world, instance, By::Us);
            }
            Ok(left)
        };
        if self.strikes(Fault::JobsInBetween) {
            pool::jobs_come(self.world);
            self.pause(self.draw(|rng| Millis(rng.i64(SLOW)))).await;
        }
        self.changes(asks("TerminateInstanceInAutoScalingGroup"), effect).await
    }

    async fn protect(&self, group: &str, instances: &[String]) -> Result<(), AwsError> {
        let effect = || at_once(self.world.scaling.protect(group, instances));
        self.changes(asks("SetInstanceProtection"), effect).await
    }

    async fn suspend(&self, group: &str, process: &str) -> Result<(), AwsError> {
        let effect = || at_once(self.world.scaling.suspend(group, process));
        self.changes(asks("SuspendProcesses"), effect).await
    }
}

impl Tables for Hands<'_> {
    async fn ask(&self, address: IpAddr) -> Result<Table, NoTable> {
        self.world.count(self.process.function, "GET metrics");
        self.step().await;
        self.pause(self.draw(|rng| Millis(rng.i64(TRIP)))).await;
        let id = self.world.state().pool.as_ref().and_then(|pool| pool.at(address).map(str::to_owned));
        let answer = match id {
            Some(id) => answers(self, &id),
            None => Err(Silence::TimedOut),
        };
        if matches!(answer, Err(Silence::TimedOut)) {
            self.pause(PATIENCE).await;
        }
        self.step().await;
        answer.map_err(|silence| silence.error())
    }
}
