//! The terminator: by the stop workflow, by Lambda's records of invocations that failed, and by EC2's warnings.

use runnerless_core::id::{JobKey, LaunchId};
use runnerless_core::time::Millis;
use runnerless_instances::Ec2;
use runnerless_lambda_kit::Named as _;
use runnerless_lost::LostJobs;
use runnerless_terminator::{Error, Work, handle};

use super::function;
use crate::event::{Event, Record};
use crate::hands::Hands;
use crate::process::Death;
use crate::setup::PARAMETERS;
use crate::world::World;

/// The function's time limit (see the template).
const LIMIT: Millis = Millis::secs(33);
/// Lambda tries an asynchronous invocation so often again (see the template), after a minute and after two.
const RETRIES: u32 = 2;

/// A task of the stop workflow; the error is the function's own name of it, or how its process ended.
pub(crate) async fn settles(
    world: &World,
    job: JobKey,
    launch: Option<&LaunchId>,
) -> Result<(), Result<&'static str, Death>> {
    let hands = function(world, "terminator", LIMIT);
    match hands.live(works(&hands, Work::Settle { job, launch: launch.cloned() })).await {
        Ok(done) => done.map_err(|error| Ok(error.name())),
        Err(death) => Err(Err(death)),
    }
}

/// Lambda hands over a record.
pub(crate) async fn hears(world: &World, record: Record) {
    let hands = function(world, "terminator", LIMIT);
    let Ok(work) = Work::read(&record.record) else {
        world.note(format_args!("{hands} cannot read a record"));
        return;
    };
    let warned = if let Work::Interrupted(instance) = &work { has_job(world, instance) } else { None };
    let done = hands.live(works(&hands, work)).await;
    if let (Some((instance, launch)), Ok(Ok(()))) = (warned, &done) {
        world.state().check.heeded(&instance, &launch);
    }
    if !matches!(done, Ok(Ok(()))) && record.failures < RETRIES {
        let failures = record.failures + 1;
        let pause = Millis::minutes(i64::from(failures));
        world.timeline.happens_in(pause, Event::Record(Record { failures, ..record }));
    }
}

/// The instance and its launch, if EC2 shows the one and the other is bound.
fn has_job(world: &World, instance: &str) -> Option<(String, LaunchId)> {
    let state = world.state();
    let launch = state.check.bound_on(instance)?;
    state.cloud.describe(instance, world.now())?;
    Some((instance.to_owned(), launch))
}

async fn works(hands: &Hands<'_>, work: Work) -> Result<(), Error> {
    let jobs = LostJobs { ledger: hands, parameters: hands, parameter_path: PARAMETERS, reporter: hands };
    let ec2 = Ec2 { fleet: hands, runners: hands, ours: hands.world.setup.ours.as_ref() };
    let done = handle(work, &jobs, ec2, hands).await;
    match &done {
        Ok(outcome) => hands.world.note(format_args!("{hands}: {:?}, {}", outcome.outcome, outcome.reason)),
        Err(error) => hands.world.note(format_args!("{hands} fails: {}", error.name())),
    }
    done.map(drop)
}
