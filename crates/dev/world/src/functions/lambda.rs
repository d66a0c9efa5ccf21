//! Lambda's asynchronous invocations: a runner's process each, and a record of each that failed.

use runnerless_core::time::Millis;
use serde_json::{Value, json};

use super::hands;
use crate::check::Whom;
use crate::event::{Event, Invocation, Record};
use crate::fault::Fault;
use crate::process::Death;
use crate::runner;
use crate::setup::EXECUTOR;
use crate::world::World;

/// The executor's time limit (see the template).
const LIMIT: Millis = Millis::secs(900);
/// How long a runner stands still (ms).
pub(super) const FROZEN: std::ops::Range<i64> = 1_000..150_000;
/// Most steps of a runner before it is ended: about twenty until its job runs, then a few each ten seconds.
pub(super) const STEPS: std::ops::Range<u32> = 1..60;
/// How long Lambda takes to hand over a record (ms).
const RECORD: std::ops::Range<i64> = 100..3_000;

/// One invocation.
pub(crate) async fn runs(world: &World, invocation: Invocation) {
    let hands = hands(world, "executor", LIMIT, (&[Fault::RunnerKilled], Fault::RunnerFrozen), STEPS, FROZEN);
    let number = hands.process.number;
    let launch = invocation.payload.get("launch").and_then(Value::as_str).unwrap_or_default();
    world.note(format_args!("{hands} is started for {launch}"));
    world.state().check.runs(number, launch);
    let ended = if invocation.again && world.strikes(Fault::SecondFailed, &Whom::Process(number)) {
        Err(Death::Killed)
    } else if invocation.function == EXECUTOR {
        hands.live(runner::executor::serve(&hands, &invocation)).await
    } else {
        hands.live(runner::foreign::serve(&hands, &invocation.payload)).await
    };
    world.at_gitlab(|gitlab, now| gitlab.process_ended(u64::from(number), now));
    let mut state = world.state();
    let now = world.now();
    state.check.ran(number, now);
    drop(state);
    let error = match ended {
        Ok(Ok(())) => return,
        Ok(Err(name)) => name,
        Err(Death::Killed | Death::Unplugged) => "Runtime.ExitError",
        Err(Death::TimedOut) => "Sandbox.Timedout",
    };
    world.note(format_args!("{hands} ends with {error}"));
    tell(world, failed(&invocation, error), number);
}

/// Hands a record to the terminator, or loses it.
fn tell(world: &World, record: Record, number: u32) {
    let whom = Whom::Process(number);
    if world.strikes(Fault::RecordLost, &whom) {
        return;
    }
    let times = if world.strikes(Fault::RecordDoubled, &whom) { 2 } else { 1 };
    for _ in 0..times {
        let length = world.draw(|rng| Millis(rng.i64(RECORD)));
        world.timeline.happens_in(length, Event::Record(record.clone()));
    }
}

fn failed(invocation: &Invocation, error: &str) -> Record {
    let record = json!({
        "version": "1.0",
        "requestContext": {"functionArn": invocation.function, "condition": "RetriesExhausted", "approximateInvokeCount": 1},
        "requestPayload": invocation.payload,
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
        "responsePayload": {"errorType": error, "errorMessage": ""},
    });
    Record { record, failures: 0 }
}

/// The record of an invocation that grew too old in the queue.
pub(crate) fn never_ran(invocation: &Invocation) -> Record {
    let record = json!({
        "version": "1.0",
        "requestContext": {"functionArn": invocation.function, "condition": "EventAgeExceeded", "approximateInvokeCount": 0},
        "requestPayload": invocation.payload,
    });
    Record { record, failures: 0 }
}
