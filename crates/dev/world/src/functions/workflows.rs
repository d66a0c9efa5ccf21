//! The workflows: StartRunner and StopRunner, with the retries that their definitions state.

use std::sync::OnceLock;

use runnerless_aws::ports::Announcement;
use runnerless_core::id::{JobKey, LaunchId};
use runnerless_core::moves::Announce;
use runnerless_core::time::Millis;
use runnerless_lambda_kit::{Clock as _, Named as _};
use runnerless_provisioner::{Office, Provisioner, Shared};
use runnerless_router::{Request, Routed, handle};
use serde_json::Value;

use super::{function, terminator};
use crate::check::Whom;
use crate::fault::Fault;
use crate::hands::Hands;
use crate::process::Death;
use crate::setup::PARAMETERS;
use crate::world::World;

/// The router's time limit (see the template).
const ROUTER: Millis = Millis::secs(20);
/// The provisioner's (see the template).
const PROVISIONER: Millis = Millis::secs(45);

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

impl Failure {
    fn of(error: Result<&'static str, Death>) -> Self {
        error.map_or(Self::Died, Self::Named)
    }
}

/// A workflow begins.
pub(crate) async fn begins(world: &World, announcement: Announcement) {
    let Announcement { what, job, launch } = announcement;
    if world.strikes(Fault::WorkflowKilled, &Whom::Job(job)) {
        return;
    }
    match what {
        Announce::Pending => starts(world, job).await,
        Announce::Finished => {
            let settles = async || terminator::settles(world, job, launch.as_ref()).await.map_err(Failure::of);
            task(world, retry_of(&SETTLE), settles).await;
        }
    }
}

/// StartRunner.
async fn starts(world: &World, job: JobKey) {
    let Some(Routed::Provision { launch, .. }) = task(world, retry_of(&ROUTE), async || route(world, job).await).await
    else {
        return;
    };
    // The launch that is left to the sweep may be another job's by then.
    if !world.strikes(Fault::WorkflowKilled, &Whom::Launch(launch.clone())) {
        task(world, retry_of(&PROVISION), async || provision(world, &launch, job).await).await;
    }
}

/// A task with its retries; what it came to, if it came to anything.
async fn task<T>(world: &World, retry: &Retry, work: impl AsyncFn() -> Result<T, Failure>) -> Option<T> {
    for attempt in 0..=retry.attempts {
        let error = match work().await {
            Ok(done) => return Some(done),
            Err(Failure::Named(error)) => error,
            Err(Failure::Died) => return None,
        };
        if !retry.errors.iter().any(|name| name == error) {
            return None;
        }
        let longest = (retry.interval_ms * retry.rate.pow(attempt)).min(retry.longest_ms);
        let pause = world.draw(|rng| Millis(rng.i64(0..=longest)));
        world.timeline.pause(pause).await;
    }
    None
}

async fn provision(world: &World, launch: &LaunchId, job: JobKey) -> Result<(), Failure> {
    let hands = function(world, "provisioner", PROVISIONER);
    world.state().check.serves_launch(hands.process.number, launch);
    hands.live(provisioned(&hands, launch, job)).await.map_err(|_| Failure::Died)?.map_err(Failure::Named)
}

async fn provisioned(hands: &Hands<'_>, launch: &LaunchId, job: JobKey) -> Result<(), &'static str> {
    let ours = hands.world.setup.ours.as_ref();
    let office = Office {
        parameters: hands,
        parameter_path: PARAMETERS,
        runners: hands,
        official: None,
        shared: &Shared::default(),
    };
    let provisioner = Provisioner { ledger: hands, fleet: hands, clock: hands, ours, office, service: "provisioner" };
    let request = runnerless_provisioner::Request::Provision { launch: launch.clone(), job: Some(job) };
    match runnerless_provisioner::handle(&request, &provisioner).await {
        Ok(answer) => {
            hands.world.note(format_args!("{hands} provisions {launch}: {answer:?}"));
            Ok(())
        }
        Err(error) => {
            hands.world.note(format_args!("{hands} fails: {}: {error}", error.name()));
            Err(error.name())
        }
    }
}

async fn route(world: &World, job: JobKey) -> Result<Routed, Failure> {
    let hands = function(world, "router", ROUTER);
    world.state().check.serves(hands.process.number, job);
    let routed = hands.live(routed(&hands, job)).await;
    match routed {
        Ok(done) => done.map_err(Failure::Named),
        Err(_) => Err(Failure::Died),
    }
}

async fn routed(hands: &Hands<'_>, job: JobKey) -> Result<Routed, &'static str> {
    match handle(&Request::Route { job }, hands, &hands.world.setup.rules, hands.now()).await {
        Ok(routed) => {
            hands.world.note(format_args!("{hands} routes {job}: {routed:?}"));
            Ok(routed)
        }
        Err(error) => {
            hands.world.note(format_args!("{hands} fails: {}", error.name()));
            Err(error.name())
        }
    }
}

/// A task of a definition, and what it says about our own errors once it was read.
struct Task(&'static str, &'static str, OnceLock<Retry>);

static ROUTE: Task = Task(START, "/States/Route/Retry/0", OnceLock::new());
static PROVISION: Task = Task(START, "/States/Provision/Retry/0", OnceLock::new());
static SETTLE: Task = Task(STOP, "/States/Settle/Retry/0", OnceLock::new());

fn retry_of(task: &'static Task) -> &'static Retry {
    let Task(definition, pointer, read_once) = task;
    read_once.get_or_init(|| read(definition, pointer))
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
        for task in [&ROUTE, &PROVISION, &SETTLE] {
            let retry = retry_of(task);
            assert!(retry.errors.iter().any(|name| name == "Ledger.Unavailable"), "{retry:?}");
            assert!(retry.attempts > 0 && retry.interval_ms > 0 && retry.rate > 1 && retry.longest_ms > 0, "{retry:?}");
        }
    }
}
