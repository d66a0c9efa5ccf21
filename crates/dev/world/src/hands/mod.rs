//! A process's hands: the ports through which our code meets a world, each call with its steps, its time and its troubles.

mod aws;
mod fleet;
mod gitlab;
mod ledger;
mod pool;
mod runners;

use std::future::{Future, pending};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use fastrand::Rng;
use runnerless_aws::{AwsError, Service};
use runnerless_core::time::{Millis, Timestamp};
use runnerless_lambda_kit::{Clock, Dice};
use runnerless_router::Ports;

use crate::check::Whom;
use crate::fault::Fault;
use crate::process::{Death, Process};
use crate::setup::Knowledge;
use crate::world::World;

pub(crate) use gitlab::Trouble;

/// One process and the world that it lives in.
#[derive(Debug)]
pub(crate) struct Hands<'w> {
    pub(crate) world: &'w World,
    pub(crate) process: Process,
}

/// A call of AWS, and what can go wrong with it.
struct Call {
    service: Service,
    operation: &'static str,
    throttled: Option<Fault>,
    failed: Option<Fault>,
    answer_lost: Option<Fault>,
    slow: Option<Fault>,
}

/// A call to another machine takes so long (ms), and mostly little.
const TRIP: std::ops::Range<i64> = 1..14;
/// A slow one takes so long (ms). The adapters give up on an attempt after three seconds and try again, so that a call may
/// take several of these.
const SLOW: std::ops::Range<i64> = 1_000..9_000;

impl<'w> Hands<'w> {
    pub(crate) const fn new(world: &'w World, process: Process) -> Self {
        Self { world, process }
    }

    /// Runs `work` as this process.
    pub(crate) async fn live<T>(&self, work: impl Future<Output = T>) -> Result<T, Death> {
        let lived = self.process.live(&self.world.timeline, work).await;
        if lived.is_err() {
            self.world.state().check.died(self.process.number);
        }
        match lived {
            Err(Death::Killed) => self.met(self.process.killed),
            Err(Death::Unplugged) => self.world.note(format_args!("{self} loses its machine")),
            Err(Death::TimedOut) => self.world.note(format_args!("{self} is out of time")),
            Ok(_) => {}
        }
        lived
    }

    /// Draws something of this process's own.
    pub(crate) fn draw<T>(&self, draw: impl FnOnce(&mut Rng) -> T) -> T {
        self.process.draw(draw)
    }

    /// Whether this goes wrong now.
    pub(crate) fn strikes(&self, fault: Fault) -> bool {
        let strikes = self.is_to_meet(fault);
        if strikes {
            self.met(fault);
        }
        strikes
    }

    /// Whether this is to go wrong later; it is noted then.
    pub(crate) fn is_to_meet(&self, fault: Fault) -> bool {
        let rates = self.world.rate(fault);
        rates > 0 && self.draw(|rng| rates > rng.u32(0..crate::fault::WHOLE))
    }

    /// Notes that this went wrong.
    fn met(&self, fault: Fault) {
        self.world.hit(fault, &Whom::Process(self.process.number), Some(self));
    }

    fn strikes_any(&self, fault: Option<Fault>) -> bool {
        fault.is_some_and(|fault| self.strikes(fault))
    }

    /// A step of the process: it may be its last one, or the one before a long pause.
    pub(crate) async fn step(&self) {
        let now = self.world.now();
        if !self.process.steps(now) {
            return;
        }
        if self.process.is_dead() {
            return pending().await;
        }
        self.met(self.process.frozen);
        self.pause(self.process.frozen_until() - now).await;
    }

    /// One call of AWS.
    async fn call<T>(&self, call: Call, effect: impl FnOnce() -> Result<T, AwsError> + Send) -> Result<T, AwsError> {
        let Call { service, operation, .. } = call;
        self.world.count(self.process.function, operation);
        self.step().await;
        let trip = self.draw(|rng| rng.i64(TRIP));
        let slow = if self.strikes_any(call.slow) { self.draw(|rng| rng.i64(SLOW)) } else { 0 };
        self.pause(Millis(trip + slow)).await;
        if service == Service::Ledger && self.world.is_out(Fault::LedgerOut) {
            return Err(unavailable(service, operation));
        }
        if self.strikes_any(call.throttled) {
            return Err(AwsError::Throttled { service, operation, source: "too many".into() });
        }
        if self.strikes_any(call.failed) {
            return Err(unavailable(service, operation));
        }
        let done = effect()?;
        if self.strikes_any(call.answer_lost) {
            return Err(unavailable(service, operation));
        }
        self.step().await;
        Ok(done)
    }
}

fn unavailable(service: Service, operation: &'static str) -> AwsError {
    AwsError::Unavailable { service, operation, source: "no answer".into() }
}

impl std::fmt::Display for Hands<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.process.function, self.process.number)
    }
}

impl Clock for Hands<'_> {
    /// By this process's clock.
    fn now(&self) -> Timestamp {
        self.world.now() + self.process.clock_off
    }

    async fn pause(&self, length: Millis) {
        self.world.timeline.pause(length).await;
    }
}

impl Dice for Hands<'_> {
    fn token(&self, bytes: usize) -> String {
        self.draw(|rng| hex::encode(std::iter::repeat_with(|| rng.u8(..)).take(bytes).collect::<Vec<_>>()))
    }

    fn nonce(&self) -> String {
        self.token(32)
    }
}

impl<'w> Ports for Hands<'w> {
    type Ledger = Self;
    type Mapping = Self;
    type Invoker = Self;
    type Jobs = Self;
    type Clock = Self;
    type Dice = Self;

    fn ledger(&self) -> &Self {
        self
    }
    fn mapping(&self) -> &Self {
        self
    }
    fn invoker(&self) -> &Self {
        self
    }
    fn jobs(&self) -> Option<&Self> {
        (self.world.setup.knowledge == Knowledge::Token).then_some(self)
    }
    fn clock(&self) -> &Self {
        self
    }
    fn dice(&self) -> &Self {
        self
    }
}

/// What a stand-in answers, which never waits.
fn at_once<T>(work: impl Future<Output = T>) -> T {
    match pin!(work).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => done,
        Poll::Pending => unreachable!("a stand-in does not wait"),
    }
}
