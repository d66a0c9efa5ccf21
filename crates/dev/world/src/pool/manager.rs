//! A runner manager: as many jobs at once as it has slots, one asked for after the other, until it is told to take no more.
//!
//! What it does with a job is modelled after the engine, as that of a local member is.

use std::future::{Future, poll_fn};
use std::task::Poll;

use futures_util::future::join_all;
use runnerless_core::pool::leaving::Manager;
use runnerless_core::time::Millis;
use runnerless_lambda_kit::Clock as _;

use super::Happens;
use super::bell::Waits;
use super::member::Running;
use crate::event::Event;
use crate::fault::Fault;
use crate::functions;
use crate::gitlab::{Asked, Offer};
use crate::hands::Hands;
use crate::process::Death;
use crate::runner::engine;
use crate::world::{State, World};

/// Longer than any world.
const FOR_EVER: Millis = Millis::days(8);
/// GitLab is asked once in this time (ms), as the official one does each three seconds.
const ASKS: std::ops::Range<i64> = 500..3_000;
/// How long a job may run; GitLab's own limit.
const LONGEST_JOB: Millis = Millis::minutes(60);
/// User data starts it again so long after it failed.
const AGAIN: Millis = Millis::secs(5);

/// It runs, until it was told to leave and has, or something ends it.
pub(super) async fn runs(world: &World, id: String) {
    let Some(hands) = begins(world, &id) else { return };
    let number = hands.process.number;
    let ended = hands.live(serves(&hands, &id)).await;
    if matches!(ended, Err(Death::Unplugged)) {
        // Who pulled the plug did the rest.
        return;
    }
    over(world, &id, number);
    if ended.is_err() {
        let now = world.now();
        world.state().check.manager_crashed(&id, number, now);
        world.timeline.happens_in(AGAIN, Event::Pool(Happens::Manager(id)));
    }
}

/// Its process, on an instance that is there and not ending.
fn begins<'w>(world: &'w World, id: &str) -> Option<Hands<'w>> {
    // A system that is being shut down starts nothing more: its user data is ended with it.
    let is_there =
        world.state().pool.as_ref().is_some_and(|pool| pool.members.get(id).is_some_and(|member| !member.ends));
    if !is_there {
        return None;
    }
    let hands = functions::of_member(world, "manager", FOR_EVER, Fault::ManagerKilled);
    let now = world.now();
    let mut state = world.state();
    let member = state.pool.as_mut()?.members.get_mut(id)?;
    if member.notes.leaving_since.is_some() && matches!(member.manager(), Manager::Gone) {
        // The user data starts none again on a member that is to leave.
        return None;
    }
    member.begins(hands.process.number, hands.process.plug(), now);
    state.trace.add(now, format_args!("{hands} runs on {id}"));
    drop(state);
    Some(hands)
}

/// Its process is over.
fn over(world: &World, id: &str, number: u32) {
    world.at_gitlab(|gitlab, now| gitlab.process_ended(u64::from(number), now));
    let mut state = world.state();
    if let Some(member) = state.pool.as_mut().and_then(|pool| pool.members.get_mut(id)) {
        member.running = None;
    }
}

async fn serves(hands: &Hands<'_>, id: &str) {
    let slots = hands.world.setup.pool.as_ref().map_or(0, |setup| setup.settings.slots_per_member);
    join_all((0..slots).map(|slot| Slot { hands, id, slot }.serves())).await;
}

/// One of its slots.
struct Slot<'a, 'w> {
    hands: &'a Hands<'w>,
    id: &'a str,
    slot: u32,
}

impl Slot<'_, '_> {
    async fn serves(self) {
        let hands = self.hands;
        loop {
            self.turn().await;
            if !self.quits() {
                hands.pause(hands.draw(|rng| Millis(rng.i64(ASKS)))).await;
            }
            if self.quits() {
                return;
            }
            if let Ok(Asked::Offer(offer)) = hands.request_job(&self.token(), &self.system_id()).await {
                self.builds(&offer).await;
            }
        }
    }

    /// Waits until there may be something to do. It asks all the while; where GitLab has nothing for it, that tells nobody anything.
    fn turn(&self) -> impl Future<Output = ()> {
        poll_fn(|context| {
            let mut state = self.hands.world.state();
            let State { pool, gitlab, .. } = &mut *state;
            let Some(pool) = pool else { return Poll::Ready(()) };
            if is_told(pool, self.id) || gitlab.has_job_for(pool.runner) {
                return Poll::Ready(());
            }
            pool.bell.waits(self.who(), context.waker().clone());
            Poll::Pending
        })
    }

    fn who(&self) -> Waits {
        (self.hands.process.number, self.slot)
    }

    fn quits(&self) -> bool {
        self.hands.world.state().pool.as_ref().is_none_or(|pool| is_told(pool, self.id))
    }

    fn token(&self) -> String {
        let state = self.hands.world.state();
        let runner = state.pool.as_ref().and_then(|pool| state.gitlab.runner(pool.runner));
        runner.map(|runner| runner.token.clone()).unwrap_or_default()
    }

    fn system_id(&self) -> String {
        format!("s_{}", &self.id[self.id.len().saturating_sub(12)..])
    }

    async fn builds(&self, offer: &Offer) {
        let hands = self.hands;
        let mut since = hands.world.now();
        self.counts(|running| {
            running.jobs += 1;
            running.taken += 1;
            since = running.since;
        });
        hands.world.state().check.job_began_on(self.id, since, hands.world.now());
        // As the official one, it gives no job back because GitLab does not answer, and tries for hours.
        if engine::accept(hands, offer, hands.now() + LONGEST_JOB).await {
            engine::run_and_report_for(hands, offer, hands.now() + LONGEST_JOB, LONGEST_JOB).await;
        }
        self.counts(|running| running.jobs -= 1);
        hands.world.state().check.job_ended_on(self.id, hands.world.now());
    }

    fn counts(&self, count: impl FnOnce(&mut Running)) {
        let mut state = self.hands.world.state();
        let member = state.pool.as_mut().and_then(|pool| pool.members.get_mut(self.id));
        if let Some(running) = member.and_then(|member| member.running.as_mut()) {
            count(running);
        }
    }
}

fn is_told(pool: &super::Pool, id: &str) -> bool {
    pool.members.get(id).and_then(|member| member.running.as_ref()).is_none_or(|running| running.quits)
}
