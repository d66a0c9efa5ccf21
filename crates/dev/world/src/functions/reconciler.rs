//! The schedule and the sweeps that it starts.

use std::future::Future;
use std::pin::Pin;

use runnerless_core::time::Millis;
use runnerless_instances::Ec2;
use runnerless_lambda_kit::Named as _;
use runnerless_lost::LostJobs;
use runnerless_reconciler::{Lanes, Sweep};

use super::{FROZEN, hands};
use crate::check::Whom;
use crate::event::Event;
use crate::fault::Fault;
use crate::hands::Hands;
use crate::setup::{BEGIN, PARAMETERS};
use crate::world::World;

/// The function's time limit (see the template).
const LIMIT: Millis = Millis::secs(55);
/// The schedule's rate (see the template).
const RATE: Millis = Millis::minutes(1);
/// Most steps of a sweep before it is ended: it asks sixteen shards before it acts.
const STEPS: std::ops::Range<u32> = 1..120;

/// The schedule's minute has come.
pub(crate) fn starts(world: &World) -> Option<Pin<Box<dyn Future<Output = ()> + '_>>> {
    world.timeline.happens_in(RATE, Event::Sweep);
    if world.strikes(Fault::SweepSkipped, &Whom::Everybody) {
        return None;
    }
    // A sweep that finds nothing due does nothing but count: most of those are left out.
    let state = world.state();
    let idle = !state.check.has_due_rows(world.now() + RATE) && !state.cloud.is_busy(world.now());
    drop(state);
    let first = world.now() - BEGIN < Millis::minutes(5);
    if idle && !first && world.now().epoch_secs() / 60 % 4 != 0 {
        return None;
    }
    if world.strikes(Fault::SweepDoubled, &Whom::Everybody) {
        return Some(Box::pin(async {
            let (mut one, mut other) = (Box::pin(sweep(world)), Box::pin(later(world)));
            let mut over = [false; 2];
            std::future::poll_fn(|context| {
                over[0] = over[0] || one.as_mut().poll(context).is_ready();
                over[1] = over[1] || other.as_mut().poll(context).is_ready();
                if over == [true; 2] { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
            })
            .await;
        }));
    }
    Some(Box::pin(sweep(world)))
}

async fn later(world: &World) {
    let pause = world.draw(|rng| Millis(rng.i64(0..2_000)));
    world.timeline.pause(pause).await;
    sweep(world).await;
}

async fn sweep(world: &World) {
    let hands = hands(world, "reconciler", LIMIT, (&[Fault::FunctionKilled], Fault::FunctionFrozen), STEPS, FROZEN);
    world.state().check.serves_everybody(hands.process.number);
    // What became of it is in its report; that it died is no news to anybody.
    let _ = hands.live(swept(&hands)).await;
}

async fn swept(hands: &Hands<'_>) {
    let lost = LostJobs { ledger: hands, parameters: hands, parameter_path: PARAMETERS, reporter: hands };
    let setup = &hands.world.setup;
    let lanes = Lanes { runners: hands, sentinel_every: setup.sentinel_every };
    let ec2 = Ec2 { fleet: hands, runners: hands, ours: setup.ours.as_ref() };
    let sweep = Sweep { ports: hands, lost, lanes, ec2, official: None, rules: &setup.rules, listing: &setup.listing };
    match sweep.run(false, hands.process.ends_at + hands.process.clock_off).await {
        Ok(report) => hands.world.note(format_args!("{hands} did {:?}", report.counts)),
        Err(error) => hands.world.note(format_args!("{hands} fails: {}", error.name())),
    }
}
