//! The way to EC2: what goes wrong on it, and what EC2 makes of a request.

use runnerless_aws::{AwsError, Service};
use runnerless_aws_ec2::{Fleet, Terminated};
use runnerless_core::fleet::{
    FleetAnswer, FleetFault, FleetOutcome, FleetRequest, Instance, InstanceState, LAUNCH_TAG, Market, STACK_TAG,
};
use runnerless_core::id::LaunchId;
use runnerless_core::time::Millis;
use runnerless_lambda_kit::Clock as _;

use super::{Call, Hands};
use crate::ec2::{self, Luck};
use crate::fault::Fault;
use crate::world::State;

/// How long EC2 takes to start an instance (ms).
const LAUNCHING: std::ops::Range<i64> = 400..2_500;
/// The same when it takes its time: until beyond the provisioner's.
const SLOW_LAUNCHING: std::ops::Range<i64> = 5_000..50_000;
/// When EC2 shows an instance after its launch (ms).
const SHOWN: std::ops::Range<i64> = 0..2_000;
/// The same when what it shows is behind: within the time that the product grants it.
const SHOWN_LATE: std::ops::Range<i64> = 5_000..55_000;
/// How long switching off a metadata service takes (ms).
const HIDING: std::ops::Range<i64> = 100..3_000;
/// What EC2 says about pools that have nothing.
const NO_CAPACITY: &str = "InsufficientInstanceCapacity";

fn asks(operation: &'static str) -> Call {
    Call {
        service: Service::Fleet,
        operation,
        throttled: Some(Fault::Ec2Throttled),
        failed: Some(Fault::Ec2Failed),
        answer_lost: Some(Fault::Ec2AnswerLost),
        slow: None,
    }
}

fn reads() -> Call {
    Call { answer_lost: None, ..asks("DescribeInstances") }
}

impl Hands<'_> {
    /// The id of a new instance.
    pub(crate) fn instance_id(&self) -> String {
        self.draw(|rng| format!("i-{:08x}{:09x}", rng.u32(..), rng.u64(..0x10_0000_0000)))
    }

    /// What EC2 makes of a request.
    fn launches(&self, request: &FleetRequest) -> FleetOutcome {
        self.world.state().check.requests(self.process.number, request);
        if self.strikes(Fault::FleetThrottled) {
            let faults = vec![FleetFault::new("RequestLimitExceeded", "the world said so")];
            return FleetOutcome::Answer(FleetAnswer { instances: Vec::new(), faults });
        }
        let known = self.world.state().cloud.knows(&request.token);
        let luck = if known { self.luck_again() } else { self.luck(request.market) };
        let now = self.world.now();
        let mut state = self.world.state();
        let (outcome, new) = ec2::answer(&mut state.cloud, request, &luck, now);
        for id in &new {
            state.check.instance_started(id, request, new.len());
        }
        if matches!(&outcome, FleetOutcome::Answer(answer) if answer.instances.is_empty()) {
            state.check.has_nothing(self.process.number, request);
        }
        drop(state);
        for (nth, id) in new.iter().enumerate() {
            self.world
                .note(format_args!("{self} starts {id}: {}", request.tags.get(LAUNCH_TAG).map_or("-", String::as_str)));
            ec2::starts(self, id, request.market == Market::Spot, nth > 0);
        }
        if new.is_empty() {
            self.world.note(format_args!("{self} starts nothing: {outcome:?}"));
        } else if self.strikes(Fault::LookAlike) {
            ec2::imitates(self, request);
        }
        outcome
    }

    /// A token that EC2 knows.
    fn luck_again(&self) -> Luck {
        let mismatch = self.strikes(Fault::FleetMismatch);
        let now = self.world.now();
        Luck { mismatch, empty: None, ids: Vec::new(), beside: None, shown_from: now, known_from: now }
    }

    fn luck(&self, market: Market) -> Luck {
        let empty = match market {
            Market::Spot if self.strikes(Fault::SpotEmpty) => {
                Some(self.draw(|rng| if rng.u32(0..4) == 0 { "MaxSpotInstanceCountExceeded" } else { NO_CAPACITY }))
            }
            Market::OnDemand if self.strikes(Fault::PoolsEmpty) => Some(NO_CAPACITY),
            Market::OnDemand if self.strikes(Fault::FleetQuota) => Some("VcpuLimitExceeded"),
            Market::Spot | Market::OnDemand => None,
        };
        let count = if empty.is_none() && self.strikes(Fault::FleetDoubled) { 2 } else { 1 };
        let beside = (empty.is_none() && self.strikes(Fault::FaultsBeside)).then_some(NO_CAPACITY);
        let behind = self.strikes(Fault::Ec2Behind);
        let shown = if behind { SHOWN_LATE } else { SHOWN };
        let now = self.world.now();
        let shown_from = now + self.draw(|rng| Millis(rng.i64(shown)));
        let known_from = if behind { shown_from } else { now };
        let ids = (0..count).map(|_| self.instance_id()).collect();
        Luck { mismatch: false, empty, ids, beside, shown_from, known_from }
    }

    fn ends_instance(&self, instance: &str) -> Terminated {
        let now = self.world.now();
        let mut state = self.world.state();
        if state.cloud.machine(instance).is_none_or(|machine| !machine.is_known(now)) {
            state.check.seems_gone(instance);
            return Terminated::Gone;
        }
        let State { cloud, check, .. } = &mut *state;
        if let Some(machine) = cloud.machine(instance) {
            check.terminates(instance, machine, now);
        }
        drop(state);
        self.world.note(format_args!("{self} terminates {instance}"));
        ec2::terminated(self.world, instance);
        Terminated::Asked
    }
}

impl Fleet for Hands<'_> {
    async fn launch(&self, request: &FleetRequest) -> Result<FleetOutcome, AwsError> {
        let length = if self.strikes(Fault::FleetSlow) { SLOW_LAUNCHING } else { LAUNCHING };
        self.pause(self.draw(|rng| Millis(rng.i64(length)))).await;
        let call = Call {
            service: Service::Fleet,
            operation: "CreateFleet",
            throttled: None,
            failed: Some(Fault::FleetFailed),
            answer_lost: Some(Fault::FleetAnswerLost),
            slow: None,
        };
        self.call(call, || Ok(self.launches(request))).await
    }

    async fn of_launch(&self, launch: &LaunchId) -> Result<Vec<Instance>, AwsError> {
        let wanted = |one: &Instance| one.tag(LAUNCH_TAG) == Some(launch.as_str());
        self.call(reads(), || Ok(self.world.state().cloud.list(self.world.now(), wanted))).await
    }

    async fn describe(&self, instance: &str) -> Result<Option<Instance>, AwsError> {
        self.call(reads(), || Ok(self.world.state().cloud.describe(instance, self.world.now()))).await
    }

    async fn list(&self, stack: &str) -> Result<Vec<Instance>, AwsError> {
        let effect = || {
            let wanted = |one: &Instance| one.tag(STACK_TAG) == Some(stack);
            let mut shown = self.world.state().cloud.list(self.world.now(), wanted);
            shown.retain(|one| one.state != InstanceState::Terminated);
            Ok(shown)
        };
        self.call(reads(), effect).await
    }

    async fn terminate(&self, instance: &str) -> Result<Terminated, AwsError> {
        self.call(asks("TerminateInstances"), || Ok(self.ends_instance(instance))).await
    }

    async fn hide_metadata(&self, instance: &str) -> Result<(), AwsError> {
        let call = asks("ModifyInstanceMetadataOptions");
        let operation = call.operation;
        let effect = || {
            let (now, length) = (self.world.now(), self.draw(|rng| Millis(rng.i64(HIDING))));
            match self.world.state().cloud.hides(instance, now, length) {
                true => Ok(()),
                false => Err(AwsError::Refused {
                    service: Service::Fleet,
                    operation,
                    source: "InvalidInstanceID.NotFound".into(),
                }),
            }
        };
        self.call(call, effect).await
    }
}
