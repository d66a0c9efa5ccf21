//! The schedule of the scaler, and its runs.

use std::future::Future;
use std::pin::Pin;

use futures_util::future::join;
use runnerless_aws::ports::Parameters as _;
use runnerless_core::time::Millis;
use runnerless_lambda_kit::{Clock as _, Dice as _, Named as _};
use runnerless_scaler::{Scaler, Waiting};

use super::{GROUP, Happens, RATE, rests};
use crate::check::{Ran, Whom};
use crate::event::Event;
use crate::fault::Fault;
use crate::functions;
use crate::hands::Hands;
use crate::setup::PARAMETERS;
use crate::world::World;

/// The function's time limit (see the pool's template).
const LIMIT: Millis = Millis::secs(50);
/// By how much the second of two runs at once is later (ms).
const LATER: std::ops::Range<i64> = 0..4_000;

/// The schedule's minute has come.
pub(super) fn starts(world: &World) -> Option<Pin<Box<dyn Future<Output = ()> + '_>>> {
    world.timeline.happens_in(RATE, Event::Pool(Happens::Run));
    if world.strikes(Fault::PoolRunSkipped, &Whom::Pool) {
        return None;
    }
    // A pool that is as it shall be for ever holds: most of those runs are left out, no more than the scaler takes for a gap.
    let idle = rests(world, &world.state());
    if idle && world.now().epoch_secs() / 60 % 4 != 0 {
        return None;
    }
    if world.strikes(Fault::PoolRunDoubled, &Whom::Pool) {
        let dry = world.draw(|rng| rng.u32(0..4) == 0);
        return Some(Box::pin(async move {
            join(run(world, false), later(world, dry)).await;
        }));
    }
    Some(Box::pin(run(world, false)))
}

async fn later(world: &World, dry: bool) {
    let pause = world.draw(|rng| Millis(rng.i64(LATER)));
    world.timeline.pause(pause).await;
    run(world, dry).await;
}

/// One run; `dry` is somebody's who only wants to see what it would do.
async fn run(world: &World, dry: bool) {
    let hands = functions::of_pool(world, "scaler", LIMIT);
    world.state().check.run_begins(hands.process.number, dry);
    // What became of it is in its report; that it died is no news to anybody.
    let _ = hands.live(runs(&hands, dry)).await;
}

async fn runs(hands: &Hands<'_>, dry: bool) {
    let Some(setup) = &hands.world.setup.pool else { return };
    let ends_at = hands.process.ends_at + hands.process.clock_off;
    let jobs = may_ask(hands).await;
    let projects = if setup.counts_waiting { super::projects(hands.world) } else { Vec::new() };
    let waiting = Waiting { projects, tags: setup.tags.clone() };
    let scaler = Scaler {
        group: GROUP,
        settings: &setup.settings,
        ledger: hands,
        pool: hands,
        tables: hands,
        jobs: jobs.map(|()| hands),
        waiting: &waiting,
        clock: hands,
    };
    let came = scaler.run(&hands.token(8), dry, ends_at).await;
    let number = hands.process.number;
    match came {
        Ok(report) => {
            hands.world.note(format_args!("{hands} did {:?} {:?}", report.actions, report.findings));
            let in_time = hands.now() < ends_at - Millis::secs(4);
            hands.world.state().check.run_ended(number, &Ran::Reported(report, in_time));
        }
        Err(error) => {
            hands.world.note(format_args!("{hands} fails: {}", error.name()));
            hands.world.state().check.run_ended(number, &Ran::Failed(error.name()));
        }
    }
}

/// Whether the scaler has a token for GitLab's jobs API, which it reads in each run.
async fn may_ask(hands: &Hands<'_>) -> Result<(), &'static str> {
    if !hands.world.setup.pool.as_ref().is_some_and(|setup| setup.counts_waiting) {
        return Err("the stack's parameter PendingProjects names no project");
    }
    match hands.below(&format!("{PARAMETERS}/control")).await {
        Ok(_) => Ok(()),
        Err(_) => Err("the API token cannot be read"),
    }
}
