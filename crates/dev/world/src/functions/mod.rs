//! What runs our handlers: the front door, the workflows, Lambda, the API, the schedule.

pub(crate) mod checkin;
pub(crate) mod ingest;
pub(crate) mod lambda;
pub(crate) mod reconciler;
pub(crate) mod terminator;
pub(crate) mod workflows;

use fastrand::Rng;
use runnerless_core::time::Millis;

use crate::check::Whom;
use crate::fault::{Fault, Rates};
use crate::hands::Hands;
use crate::process::Fate;
use crate::world::World;

/// How long a function's process stands still (ms).
const FROZEN: std::ops::Range<i64> = 200..30_000;
/// By how much a clock is off (ms): the rules have ten seconds for two clocks that differ.
const CLOCK_OFF: std::ops::Range<i64> = -4_000..4_000;
/// Most steps that a function takes before it is ended: more than nearly all do.
const STEPS: std::ops::Range<u32> = 1..24;

/// Most steps of a run of the scaler: it asks a handful of members before it acts.
const SCALER_STEPS: std::ops::Range<u32> = 1..60;
/// Up to this step, a runner has accepted its job.
const EARLY: u32 = 24;

/// A process of one of our functions.
pub(crate) fn function<'w>(world: &'w World, name: &'static str, limit: Millis) -> Hands<'w> {
    hands(world, name, limit, (&[Fault::FunctionKilled], Fault::FunctionFrozen), STEPS, FROZEN)
}

/// A runner's process on an instance.
pub(crate) fn instance(world: &World, limit: Millis) -> Hands<'_> {
    let ends = [Fault::InstanceKilled, Fault::InstanceStops];
    hands(world, "instance", limit, (&ends, Fault::RunnerFrozen), lambda::STEPS, lambda::FROZEN)
}

/// A process of the scaler.
pub(crate) fn of_pool<'w>(world: &'w World, name: &'static str, limit: Millis) -> Hands<'w> {
    let hands = hands(world, name, limit, (&[Fault::FunctionKilled], Fault::FunctionFrozen), SCALER_STEPS, FROZEN);
    world.state().check.serves_pool(hands.process.number);
    hands
}

/// A process on a member of a pool, which ends like this.
pub(crate) fn of_member<'w>(world: &'w World, name: &'static str, limit: Millis, ends: Fault) -> Hands<'w> {
    let hands = hands(world, name, limit, (&[ends], Fault::RunnerFrozen), lambda::STEPS, lambda::FROZEN);
    world.state().check.serves_pool(hands.process.number);
    hands
}

/// A process with a fate: whether, when and for how long it is troubled.
fn hands<'w>(
    world: &'w World,
    name: &'static str,
    limit: Millis,
    (ends, frozen): (&[Fault], Fault),
    steps: std::ops::Range<u32>,
    lengths: std::ops::Range<i64>,
) -> Hands<'w> {
    let draw = |rates: &Rates, rng: &mut Rng| {
        let freezes_for = Millis(rng.i64(lengths));
        let mut fate = Fate { killed: ends[0], frozen, dies_in: 0, freezes_in: 0, freezes_for, clock_off: Millis(0) };
        // What matters most happens in a process's first steps.
        let step = |rng: &mut Rng| {
            let last = if rng.bool() { steps.end } else { steps.end.min(EARLY) };
            rng.u32(steps.start..last)
        };
        if let Some(killed) = ends.iter().find(|end| rates.strikes(**end, rng)) {
            fate.killed = *killed;
            fate.dies_in = step(rng);
        }
        if rates.strikes(frozen, rng) {
            fate.freezes_in = step(rng);
        }
        if rates.strikes(Fault::ClockOff, rng) {
            fate.clock_off = Millis(rng.i64(CLOCK_OFF));
        }
        fate
    };
    let hands = Hands::new(world, world.process(name, limit, draw));
    if hands.process.clock_off != Millis(0) {
        world.hit(Fault::ClockOff, &Whom::Everybody, Some(&hands));
    }
    hands
}
