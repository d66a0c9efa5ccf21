//! EC2 in memory, with the semantics that matter: tokens, tags, eventual answers, refusals and answers that are lost.
//! It refuses what EC2 refuses.

mod objection;
mod state;

use std::sync::{Mutex, MutexGuard, PoisonError};

use runnerless_aws::{AwsError, Service};
use runnerless_core::fleet::{
    FleetAnswer, FleetFault, FleetOutcome, FleetRequest, Instance, InstanceState, LAUNCH_TAG, Market, STACK_TAG,
};
use runnerless_core::id::LaunchId;
use runnerless_core::time::Timestamp;

use crate::port::{Fleet, Terminated};
use objection::{is_instance_id, objection};
use state::State;

/// What the next [`Fleet::launch`] comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scripted {
    /// The call is answered: so many instances, and a fault of each of these codes beside them.
    Answer {
        /// Instances that are launched.
        instances: usize,
        /// Codes of the faults.
        codes: Vec<&'static str>,
    },
    /// The whole call is refused with this code; nothing is done, and the token is not taken.
    Refused(&'static str),
    /// The call is carried out, and its answer is lost.
    LostAnswer,
    /// The call is not carried out, and nobody answers.
    NoAnswer,
}

/// What the next call of another operation comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// EC2 asks to slow down.
    Throttled,
    /// Nobody answers, and nothing is done.
    NoAnswer,
    /// It is done, and the answer is lost.
    LostAnswer,
    /// EC2 refuses: a missing right.
    Refused,
}

/// An operation of EC2 other than the launch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Operation {
    /// Every reading one.
    DescribeInstances,
    /// See [`Fleet::terminate`].
    TerminateInstances,
    /// See [`Fleet::hide_metadata`].
    ModifyInstanceMetadataOptions,
}

impl Operation {
    const fn name(self) -> &'static str {
        match self {
            Self::DescribeInstances => "DescribeInstances",
            Self::TerminateInstances => "TerminateInstances",
            Self::ModifyInstanceMetadataOptions => "ModifyInstanceMetadataOptions",
        }
    }
}

/// An account's instances. It knows no launch template until it is told of one.
#[derive(Debug, Default)]
pub struct FakeFleet {
    state: Mutex<State>,
}

impl FakeFleet {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// There is a launch template of this id, whose instances have this instance profile.
    pub fn deploy(&self, template: &str, profile: &str) {
        self.state().templates.insert(template.to_owned(), profile.to_owned());
    }

    /// Instances are launched at `now`, from now on.
    pub fn set(&self, now: Timestamp) {
        self.state().now = now;
    }

    /// The next launch comes to this; several, the next launches in turn.
    pub fn script(&self, next: Scripted) {
        self.state().script.push_back(next);
    }

    /// From now on each pool of this market has a fault of this code, and no instance; `None` ends that.
    pub fn dry(&self, market: Market, code: Option<&'static str>) {
        match code {
            Some(code) => self.state().dry.insert(market, code),
            None => self.state().dry.remove(&market),
        };
    }

    /// The next call of this operation comes to this; several, the next calls in turn.
    pub fn trouble(&self, operation: Operation, trouble: Trouble) {
        self.state().troubles.entry(operation).or_default().push_back(trouble);
    }

    /// The next so many readings show nothing that was launched since.
    pub fn lag(&self, readings: usize) {
        let mut state = self.state();
        state.lag = readings;
        state.unseen.clear();
    }

    /// There is this instance, whoever launched it.
    pub fn add(&self, instance: Instance) {
        self.state().instances.insert(instance.id.clone(), instance);
    }

    /// An instance is in this state now: it started, or powered itself off, or EC2 took it back.
    pub fn enter(&self, instance: &str, state: InstanceState) {
        if let Some(instance) = self.state().instances.get_mut(instance) {
            instance.state = state;
        }
    }

    /// EC2 shows an instance no longer, as an hour after its end.
    pub fn forget(&self, instance: &str) {
        self.state().instances.remove(instance);
    }

    /// All instances that EC2 shows, by id.
    #[must_use]
    pub fn instances(&self) -> Vec<Instance> {
        self.state().instances.values().cloned().collect()
    }

    /// The instances that nobody has ended, by id.
    #[must_use]
    pub fn alive(&self) -> Vec<String> {
        let state = self.state();
        state.instances.values().filter(|one| one.state.is_there()).map(|one| one.id.clone()).collect()
    }

    /// Whether an instance's metadata service is switched off.
    #[must_use]
    pub fn is_hidden(&self, instance: &str) -> bool {
        self.state().hidden.contains(instance)
    }

    /// Every request that was sent, in order.
    #[must_use]
    pub fn requests(&self) -> Vec<FleetRequest> {
        self.state().requests.clone()
    }

    /// Every wish for an end that was sent, in order.
    #[must_use]
    pub fn terminations(&self) -> Vec<String> {
        self.state().terminations.clone()
    }

    /// Carries out what `act` does unless the script has another end for it.
    fn call<T>(
        &self,
        operation: Operation,
        act: impl FnOnce(&mut State) -> Result<T, AwsError>,
    ) -> Result<T, AwsError> {
        let mut state = self.state();
        let name = operation.name();
        match state.troubles.get_mut(&operation).and_then(std::collections::VecDeque::pop_front) {
            None => act(&mut state),
            Some(Trouble::Throttled) => Err(throttled(name)),
            Some(Trouble::NoAnswer) => Err(unanswered(name)),
            Some(Trouble::LostAnswer) => act(&mut state).and_then(|_| Err(unanswered(name))),
            Some(Trouble::Refused) => Err(refused(name, "UnauthorizedOperation")),
        }
    }

    fn read<T>(&self, read: impl FnOnce(&[&Instance]) -> T) -> Result<T, AwsError> {
        self.call(Operation::DescribeInstances, |state| {
            let blind = state.lag > 0;
            state.lag = state.lag.saturating_sub(1);
            let shown = |one: &&Instance| !blind || !state.unseen.contains(&one.id);
            Ok(read(&state.instances.values().filter(shown).collect::<Vec<_>>()))
        })
    }
}

impl Fleet for FakeFleet {
    async fn launch(&self, request: &FleetRequest) -> Result<FleetOutcome, AwsError> {
        let mut state = self.state();
        state.requests.push(request.clone());
        let scripted = state.script.pop_front();
        match scripted {
            Some(Scripted::NoAnswer) => return Err(unanswered("CreateFleet")),
            Some(Scripted::Refused(code)) => return Ok(refusal(FleetFault::new(code, "the test said so"))),
            _ => {}
        }
        if let Some(fault) = objection(request, &state.templates) {
            return Ok(refusal(fault));
        }
        if let Some((first, answer)) = state.answered.get(&request.token) {
            return Ok(if first == request { FleetOutcome::Answer(answer.clone()) } else { FleetOutcome::Mismatch });
        }
        let answer = match scripted {
            Some(Scripted::Answer { instances, ref codes }) => state.launch(request, instances, codes),
            _ => match state.dry.get(&request.market).copied() {
                None => state.launch(request, 1, &[]),
                Some(code) => state.launch(request, 0, &vec![code; request.pools.len()]),
            },
        };
        state.answered.insert(request.token.clone(), (request.clone(), answer.clone()));
        match scripted {
            Some(Scripted::LostAnswer) => Err(unanswered("CreateFleet")),
            _ => Ok(FleetOutcome::Answer(answer)),
        }
    }

    async fn of_launch(&self, launch: &LaunchId) -> Result<Vec<Instance>, AwsError> {
        self.read(|all| {
            all.iter().filter(|one| one.tag(LAUNCH_TAG) == Some(launch.as_str())).copied().cloned().collect()
        })
    }

    async fn describe(&self, instance: &str) -> Result<Option<Instance>, AwsError> {
        if !is_instance_id(instance) {
            return Err(refused("DescribeInstances", "InvalidInstanceID.Malformed"));
        }
        self.read(|all| all.iter().find(|one| one.id == instance).copied().cloned())
    }

    async fn list(&self, stack: &str) -> Result<Vec<Instance>, AwsError> {
        let listed = |one: &&Instance| one.tag(STACK_TAG) == Some(stack) && one.state != InstanceState::Terminated;
        self.read(|all| all.iter().copied().filter(listed).cloned().collect())
    }

    async fn terminate(&self, instance: &str) -> Result<Terminated, AwsError> {
        self.call(Operation::TerminateInstances, |state| {
            if !is_instance_id(instance) {
                return Err(refused("TerminateInstances", "InvalidInstanceID.Malformed"));
            }
            state.terminations.push(instance.to_owned());
            let Some(found) = state.instances.get_mut(instance) else { return Ok(Terminated::Gone) };
            if found.state.is_there() {
                found.state = InstanceState::ShuttingDown;
            }
            Ok(Terminated::Asked)
        })
    }

    async fn hide_metadata(&self, instance: &str) -> Result<(), AwsError> {
        let operation = Operation::ModifyInstanceMetadataOptions;
        self.call(operation, |state| match state.instances.get(instance) {
            None => Err(refused(operation.name(), "InvalidInstanceID.NotFound")),
            Some(found) if !found.state.is_there() => Err(refused(operation.name(), "IncorrectInstanceState")),
            Some(_) => {
                state.hidden.insert(instance.to_owned());
                Ok(())
            }
        })
    }
}

fn refusal(fault: FleetFault) -> FleetOutcome {
    FleetOutcome::Answer(FleetAnswer { instances: Vec::new(), faults: vec![fault] })
}

fn throttled(operation: &'static str) -> AwsError {
    AwsError::Throttled { service: Service::Fleet, operation, source: "RequestLimitExceeded".into() }
}

fn unanswered(operation: &'static str) -> AwsError {
    AwsError::Unavailable { service: Service::Fleet, operation, source: "the test said so".into() }
}

fn refused(operation: &'static str, why: &'static str) -> AwsError {
    AwsError::Refused { service: Service::Fleet, operation, source: why.into() }
}
