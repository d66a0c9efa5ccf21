//! Fleet: what is sent to EC2 for a launch, and what its answer means.
//!
//! The answer to a request may be lost, its process may die at any point, and two may send it at once. So the request is
//! frozen and has a token, by which EC2 answers the same again; the instance's id is stored before anything else changes;
//! and the row decides which instance is the launch's: every other one that the same launch brought is ended. A launch that
//! nobody needs any more is closed before its instance is terminated, so that a runner that is faster binds nothing.

use crate::change::{Due, Plan, check, put};
use crate::fleet::{FaultKind, FleetAnswer, FleetFault, FleetRequest, Instance, Market};
use crate::frozen::FrozenFleet;
use crate::job::JobRow;
use crate::lane::Engine;
use crate::launch::{LaunchRow, LaunchState};
use crate::limits;
use crate::moves::{End, conclude, is_free};
use crate::time::{Millis, Timestamp};

/// Spot's own quota: what the market does not give to this account, whatever other markets do.
const SPOT_QUOTA: &str = "MaxSpotInstanceCountExceeded";

/// A launch that was charged this long ago is not its workflow's first try any more: what it is for may have changed.
const FRESH: Millis = Millis::secs(10);

/// What a launch asks its provisioner for.
#[derive(Clone, Debug, PartialEq)]
pub enum Provision {
    /// Exactly this request is to be sent.
    Send(Box<FleetRequest>),
    /// Nobody needs the launch, or somebody stops it: see [`Withdrawal`]. What was started under its tag is not known.
    Withdraw(Withdrawal),
    /// Nothing, for this reason.
    Nothing(String),
}

/// How a launch that never began is taken back: the plan is applied, what it brought is terminated, then it is concluded.
#[derive(Clone, Debug, PartialEq)]
pub struct Withdrawal {
    /// Makes it `closing`, if it is not yet.
    pub plan: Plan,
    /// Its conclusion.
    pub end: End,
}

/// What an answer of EC2 means for the launch.
#[derive(Clone, Debug, PartialEq)]
pub enum Answered {
    /// The launch has this instance; the plan says so, if it did not. The surplus is terminated.
    Has {
        /// The writes.
        plan: Plan,
        /// The instance.
        instance: String,
        /// What else the launch brought.
        surplus: Vec<String>,
    },
    /// The launch is over or not needed: these are terminated, between the plan and the conclusion of the withdrawal. When
    /// there is no withdrawal, it was over before.
    Unneeded {
        /// How it is taken back.
        withdrawal: Option<Withdrawal>,
        /// What it brought.
        instances: Vec<String>,
    },
    /// The market had nothing: the plan leaves the next market's request, which is sent then.
    NextMarket(Plan),
    /// EC2 started nothing: the plan concludes the launch, if nobody recorded an instance meanwhile.
    Over {
        /// The conclusion.
        plan: Plan,
        /// When its job gets its next launch.
        until: Timestamp,
        /// What the faults call for.
        kind: FaultKind,
    },
    /// Nothing is to be done: somebody else is at it, or it is not known yet.
    Wait(String),
}

impl Answered {
    /// The same, decided by the row of the launch's job as it was before the request was sent: it is relied on as it was read.
    #[must_use]
    pub fn relying_on(mut self, owner: &JobRow) -> Self {
        let plan = match &mut self {
            Self::Has { plan, .. } | Self::Unneeded { withdrawal: Some(Withdrawal { plan, .. }), .. } => plan,
            // Nothing is written by it, or its row is.
            Self::Unneeded { withdrawal: None, .. } | Self::NextMarket(_) | Self::Over { .. } | Self::Wait(_) => {
                return self;
            }
        };
        if !plan.changes.is_empty() {
            plan.changes.push(check(owner));
        }
        self
    }
}

/// Whether the row of the job that the launch is charged to is to be read before its request is sent: not for the first try,
/// which follows the charge at once.
#[must_use]
pub fn asks_for_owner(launch: &LaunchRow, now: Timestamp) -> bool {
    launch.state == LaunchState::Charged && launch.times.charged_at.is_none_or(|at| now >= at + FRESH)
}

/// Decides about a launch. `owner` is the row of the job that it is charged to, read after the launch; the outer `None` when
/// it was not asked for.
#[must_use]
pub fn provision(launch: &LaunchRow, owner: Option<Option<&JobRow>>, now: Timestamp) -> Provision {
    if launch.engine != Engine::Ec2 {
        return Provision::Nothing(format!("it is a launch of {}", launch.engine));
    }
    if let Some(withdrawal) = withdrawal(launch, owner, None, now) {
        return Provision::Withdraw(withdrawal);
    }
    let Some(frozen) = (launch.state == LaunchState::Charged).then_some(launch.request.as_deref()).flatten() else {
        return Provision::Nothing(format!("the launch is {:?}", launch.state));
    };
    if now >= launch.lease_until {
        return Provision::Nothing("its time to start is over: the sweep ends it".to_owned());
    }
    match FrozenFleet::read(frozen) {
        Ok(frozen) => Provision::Send(Box::new(frozen.next().clone())),
        Err(error) => Provision::Nothing(format!("its frozen request cannot be read: {error}")),
    }
}

/// Decides about the answer to `sent`. The rows are read after it, `owner` after the launch; or before it, see
/// [`Answered::relying_on`].
#[must_use]
pub fn answered(
    launch: &LaunchRow,
    owner: Option<&JobRow>,
    sent: &FleetRequest,
    answer: &FleetAnswer,
    now: Timestamp,
) -> Answered {
    match answer.instances.first() {
        Some(first) => brought(launch, owner, first, &answer.instances, now),
        None => refused(launch, owner, sent, &answer.faults, now),
    }
}

/// Decides about what a look-up by the launch's tag found, after EC2 said that it knows the token from another request. An
/// instance that is not shown may not be shown yet.
#[must_use]
pub fn looked_up(
    launch: &LaunchRow,
    owner: Option<&JobRow>,
    sent: &FleetRequest,
    found: &[Instance],
    now: Timestamp,
) -> Answered {
    let there = found.iter().filter(|instance| instance.state.is_there()).map(|instance| instance.id.clone());
    let answer = FleetAnswer { instances: there.collect(), faults: Vec::new() };
    if !answer.instances.is_empty() {
        return answered(launch, owner, sent, &answer, now);
    }
    if !waits_for(launch, sent) {
        return Answered::Wait(format!("the launch is {:?}", launch.state));
    }
    let charged = launch.times.charged_at.unwrap_or(now);
    if now < charged + limits::EC2_VISIBLE {
        return Answered::Wait("EC2 knows its token and shows no instance yet".to_owned());
    }
    let reason = "EC2 knows its token from another request, and no instance is there".to_owned();
    over(launch, owner, reason, FaultKind::Other, now)
}

/// Instances came.
fn brought(launch: &LaunchRow, owner: Option<&JobRow>, first: &str, all: &[String], now: Timestamp) -> Answered {
    let recorded = launch.instance_id.as_deref();
    let own = recorded.unwrap_or(first);
    let others = || all.iter().filter(|id| *id != own).cloned().collect::<Vec<_>>();
    if let Some(withdrawal) = withdrawal(launch, Some(owner), Some(own), now) {
        let instances = std::iter::once(own.to_owned()).chain(others()).collect();
        return Answered::Unneeded { withdrawal: Some(withdrawal), instances };
    }
    match (launch.state, recorded) {
        // What is recorded is its runner's, or whoever's who ends it.
        (_, Some(_)) => {
            Answered::Has { plan: Plan::because("is recorded"), instance: own.to_owned(), surplus: others() }
        }
        (LaunchState::Charged, None) => {
            Answered::Has { plan: recorded_plan(launch, own, now), instance: own.to_owned(), surplus: others() }
        }
        (_, None) => Answered::Unneeded { withdrawal: None, instances: all.to_vec() },
    }
}

fn recorded_plan(launch: &LaunchRow, instance: &str, now: Timestamp) -> Plan {
    let mut after = launch.clone();
    after.instance_id = Some(instance.to_owned());
    after.enter(LaunchState::Starting, now);
    after.lease(now + limits::EC2_BOOT);
    Plan::because(format!("instance {instance} was started for it")).with_some(put(Some(launch), after))
}

/// How the launch is taken back, if it is to be: somebody closed it before anything was recorded as started, or it waits for
/// its instance and its job needs it no more. The instance is recorded by the same write that closes.
fn withdrawal(
    launch: &LaunchRow,
    owner: Option<Option<&JobRow>>,
    instance: Option<&str>,
    now: Timestamp,
) -> Option<Withdrawal> {
    let unstarted = launch.times.starting_at.is_none() && launch.bound_job.is_none();
    let why = match launch.state {
        LaunchState::Charged if owner.is_some_and(|owner| is_free(launch, owner)) => "its job needs it no more",
        LaunchState::Closing if unstarted => launch.end_reason.as_deref().unwrap_or("it was stopped"),
        _ => return None,
    };
    let mut after = launch.clone();
    if launch.state == LaunchState::Charged {
        after.enter(LaunchState::Closing, now);
        after.end_reason = Some(why.to_owned());
        // The sweep finishes what a provisioner that dies here leaves.
        after.lease(now + limits::SETTLE_CHECK);
    }
    if after.instance_id.is_none() {
        after.instance_id = instance.map(str::to_owned);
    }
    let plan = Plan::because(why).with_some(put(Some(launch), after));
    let end = End::NeverStarted { reason: why.to_owned(), retry_in: limits::RETRY_BACKOFF[0] };
    Some(Withdrawal { plan, end })
}

/// Whether `sent` is still what the launch waits for.
fn waits_for(launch: &LaunchRow, sent: &FleetRequest) -> bool {
    let frozen = launch.request.as_deref().and_then(|text| FrozenFleet::read(text).ok());
    launch.state == LaunchState::Charged && frozen.is_some_and(|frozen| frozen.next() == sent)
}

/// Faults and no instance: a definite answer, nothing runs.
fn refused(
    launch: &LaunchRow,
    owner: Option<&JobRow>,
    sent: &FleetRequest,
    faults: &[FleetFault],
    now: Timestamp,
) -> Answered {
    if !waits_for(launch, sent) {
        return Answered::Wait("another request of the launch is under way, or it is over".to_owned());
    }
    let empty = |fault: &FleetFault| fault.kind == FaultKind::Capacity || fault.code == SPOT_QUOTA;
    let next = launch.request.as_deref().and_then(|text| FrozenFleet::read(text).ok()).and_then(|frozen| frozen.rest());
    if let (true, Market::Spot, Some(next)) = (faults.iter().any(empty), sent.market, next) {
        let mut after = launch.clone();
        after.request = Some(next.text());
        // The sweep goes on where a provisioner that dies here leaves it.
        after.due = Due::at(&launch.launch.pk(), now + limits::EC2_CHARGE_GRACE);
        return Answered::NextMarket(Plan::because(told(faults)).with_some(put(Some(launch), after)));
    }
    over(launch, owner, told(faults), calls_for(faults), now)
}

/// The launch is over as never started. The plan stands on the row as it is here: another call may have met another answer,
/// and recorded an instance meanwhile.
fn over(launch: &LaunchRow, owner: Option<&JobRow>, reason: String, kind: FaultKind, now: Timestamp) -> Answered {
    let retry_in = match kind {
        FaultKind::Throttled => limits::EC2_THROTTLED_RETRY,
        FaultKind::Capacity | FaultKind::Quota => limits::EC2_FULL_RETRY,
        FaultKind::Configuration | FaultKind::Other => limits::TROUBLE_RETRY,
    };
    match conclude(launch, owner, &End::NeverStarted { reason, retry_in }, now) {
        Some(plan) => Answered::Over { plan, until: now + retry_in, kind },
        None => Answered::Wait(format!("the launch is {:?}", launch.state)),
    }
}

/// What the faults of several pools call for: a full pool beside a wrong one may serve later; what is wrong with all of them
/// is the stack's.
fn calls_for(faults: &[FleetFault]) -> FaultKind {
    let order = [FaultKind::Capacity, FaultKind::Quota, FaultKind::Throttled, FaultKind::Configuration];
    order.into_iter().find(|kind| faults.iter().any(|fault| fault.kind == *kind)).unwrap_or(FaultKind::Other)
}

/// The faults in one sentence, each code once with the first of its messages, cut.
fn told(faults: &[FleetFault]) -> String {
    const MESSAGE: usize = 200;
    let mut codes: Vec<&str> = Vec::new();
    let mut words: Vec<String> = Vec::new();
    for fault in faults {
        if !codes.contains(&fault.code.as_str()) {
            codes.push(&fault.code);
            let message: String =
                fault.message.chars().take(MESSAGE).map(|c| if c.is_control() { ' ' } else { c }).collect();
            words.push(format!("{} ({message})", fault.code));
        }
    }
    if words.is_empty() {
        return "EC2 started no instance and said nothing of why".to_owned();
    }
    format!("EC2 started no instance: {}", words.join("; "))
}

#[cfg(test)]
mod tests;
