//! The workflows: StartRunner and StopRunner, with the retries that their definitions state.

use std::sync::OnceLock;

use runnerless_aws::ports::Announcement;
use runnerless_core::id::JobKey;
use runnerless_core::moves::Announce;
use runnerless_core::time::Millis;
use runnerless_lambda_kit::Clock as _;
use runnerless_router::{Request, handle};
use serde_json::Value;

use super::{function, terminator};
use crate::check::Whom;
use crate::fault::Fault;
use crate::hands::Hands;
use crate::world::World;

/// The router's time limit (see the template).
const ROUTER: Millis = Millis::secs(20);

const START: &str = include_str!("../../../../../statemachines/start-runner.asl.json");
const STOP: &str = include_str!("../../../../../statemachines/stop-runner.asl.json");

/// What a task's `Retry` says about our own errors.
#[derive(Debug, Default)]
struct Retry {
    errors: Vec<String>,
    interval_ms: i64,
    rate: i64,
    attempts: u32,
    longest_ms: i64,
}

/// A task that did not do its work: under the function's own error name, or without one.
enum Failure {
    Named(&'static str),
    /// AWS's name of a process that ended is in no list.
    Died,
}

/// A workflow begins.
pub(crate) async fn begins(world: &World, announcement: Announcement) {
    let Announcement { what, job } = announcement;
    if world.strikes(Fault::WorkflowKilled, &Whom::Job(job)) {
        return;
    }
    let retry = retry_of(what);
    for attempt in 0..=retry.attempts {
        let failed = match what {
            Announce::Pending => route(world, job).await,
            Announce::Finished => terminator::settles(world, job).await.map_err(|death| match death {
                Ok(name) => Failure::Named(name),
                Err(_) => Failure::Died,
            }),
        };
        let error = match failed {
            Ok(()) => return,
            Err(Failure::Named(error)) => error,
            Err(Failure::Died) => return,
        };
        if !retry.errors.iter().any(|name| name == error) {
            return;
        }
        let longest = (retry.interval_ms * retry.rate.pow(attempt)).min(retry.longest_ms);
        let pause = world.draw(|rng| Millis(rng.i64(0..=longest)));
        world.timeline.pause(pause).await;
    }
}

async fn route(world: &World, job: JobKey) -> Result<(), Failure> {
    let hands = function(world, "router", ROUTER);
    world.state().check.serves(hands.process.number, job);
    let routed = hands.live(routed(&hands, job)).await;
    match routed {
        Ok(done) => done.map_err(Failure::Named),
        Err(_) => Err(Failure::Died),
    }
}

async fn routed(hands: &Hands<'_>, job: JobKey) -> Result<(), &'static str> {
    match handle(&Request::Route { job }, hands, &hands.world.setup.rules, hands.now()).await {
        Ok(routed) => {
            hands.world.note(format_args!("{hands} routes {job}: {routed:?}"));
            Ok(())
        }
        Err(error) => {
            hands.world.note(format_args!("{hands} fails: {}", error.name()));
            Err(error.name())
        }
    }
}

fn retry_of(what: Announce) -> &'static Retry {
    static START_RETRY: OnceLock<Retry> = OnceLock::new();
    static STOP_RETRY: OnceLock<Retry> = OnceLock::new();
    match what {
        Announce::Pending => START_RETRY.get_or_init(|| read(START, "/States/Route/Retry/0")),
        Announce::Finished => STOP_RETRY.get_or_init(|| read(STOP, "/States/Settle/Retry/0")),
    }
}

fn read(definition: &str, pointer: &str) -> Retry {
    let definition: Value = serde_json::from_str(definition).unwrap_or_default();
    let Some(retry) = definition.pointer(pointer) else { return Retry::default() };
    let number = |name: &str| retry.get(name).and_then(Value::as_i64).unwrap_or_default();
    let errors = retry.get("ErrorEquals").and_then(Value::as_array).into_iter().flatten();
    Retry {
        errors: errors.filter_map(Value::as_str).map(str::to_owned).collect(),
        interval_ms: number("IntervalSeconds") * 1000,
        rate: number("BackoffRate"),
        attempts: u32::try_from(number("MaxAttempts")).unwrap_or_default(),
        longest_ms: number("MaxDelaySeconds") * 1000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_retries_are_those_of_the_definitions() {
        for what in [Announce::Pending, Announce::Finished] {
            let retry = retry_of(what);
            assert!(retry.errors.iter().any(|name| name == "Ledger.Unavailable"), "{retry:?}");
            assert!(retry.attempts > 0 && retry.interval_ms > 0 && retry.rate > 1 && retry.longest_ms > 0, "{retry:?}");
        }
    }
}
