//! The program beside the runner manager while its member leaves, as `bin/member` looks, decides, acts and notes. What it decides is
//! the real thing; until it sees that its member is to leave, it does nothing that anybody could see.

use runnerless_aws_ec2::leave::Heard;
use runnerless_core::pool::leaving::{Memory, Process, Seen, Step, Target, decide};
use runnerless_core::time::Millis;
use runnerless_lambda_kit::Clock as _;

use super::member::{Health, Member};
use super::{Happens, group};
use crate::event::Event;
use crate::fault::Fault;
use crate::functions;
use crate::hands::Hands;
use crate::world::World;

/// It looks so often.
const LOOK: Millis = Millis::secs(5);
/// User data starts it again so long after it failed.
const AGAIN: Millis = Millis::secs(5);
/// Longer than any world.
const FOR_EVER: Millis = Millis::days(8);

/// A member that has booted is to leave: one of its looks shows it.
pub(super) fn begins(world: &World, id: &str) {
    let may = world
        .state()
        .pool
        .as_ref()
        .and_then(|pool| pool.members.get(id))
        .is_some_and(|member| member.booted && member.health != Health::Dead);
    if may {
        let first = world.draw(|rng| Millis(rng.i64(0..LOOK.0)));
        world.timeline.happens_in(first, Event::Pool(Happens::Agent(id.to_owned())));
    }
}

/// It watches until the hook is answered, or its instance is gone.
pub(super) async fn watches(world: &World, id: String) {
    loop {
        let hands = functions::of_member(world, "member", FOR_EVER, Fault::AgentKilled);
        if hands.live(watch(&hands, &id)).await.is_ok() {
            return;
        }
        world.timeline.pause(AGAIN).await;
    }
}

async fn watch(hands: &Hands<'_>, id: &str) {
    let heartbeat = hands.world.setup.pool.as_ref().and_then(|setup| setup.group.hook.as_ref());
    let Some(heartbeat) = heartbeat.map(|hook| hook.heartbeat) else { return };
    let Some(memory) = at(hands, id, |member| member.notes.clone()) else { return };
    let mut agent = Agent { hands, id, heartbeat, memory };
    while let Some(is_done) = agent.looks().await {
        if is_done {
            return;
        }
        hands.pause(LOOK).await;
    }
}

/// Does something with the member; `None` where it is gone.
fn at<T>(hands: &Hands<'_>, id: &str, act: impl FnOnce(&mut Member) -> T) -> Option<T> {
    let mut state = hands.world.state();
    state.pool.as_mut().and_then(|pool| pool.members.get_mut(id)).filter(|member| !member.ends).map(act)
}

struct Agent<'a, 'w> {
    hands: &'a Hands<'w>,
    id: &'a str,
    heartbeat: Millis,
    memory: Memory,
}

impl Agent<'_, '_> {
    /// One look, and what follows of it. Whether the hook is answered; `None` where the instance is gone.
    async fn looks(&mut self) -> Option<bool> {
        self.hands.step().await;
        let seen = self.sees()?;
        let decision = decide(self.hands.now(), self.heartbeat, &seen, &self.memory);
        self.memory = decision.memory;
        self.notes()?;
        for step in decision.steps {
            self.hands.step().await;
            match step {
                Step::Tell(process) => self.tells(process)?,
                Step::Beat => self.beats().await,
                Step::Complete => {
                    if self.completes().await {
                        return Some(true);
                    }
                }
            }
        }
        self.notes()?;
        Some(false)
    }

    fn sees(&self) -> Option<Seen> {
        let now = self.hands.world.now();
        let silent = self.hands.strikes(Fault::TargetUnknown);
        at(self.hands, self.id, |member| {
            let target = match member.leaves_from {
                _ if silent => Target::Unknown("no answer".to_owned()),
                Some(from) if from <= now => Target::Leaves,
                _ => Target::Stays,
            };
            Seen { target, manager: member.manager() }
        })
    }

    fn notes(&self) -> Option<()> {
        at(self.hands, self.id, |member| member.notes = self.memory.clone())
    }

    /// SIGQUIT, to exactly this process.
    fn tells(&mut self, process: Process) -> Option<()> {
        let told = at(self.hands, self.id, |member| {
            let running = member.running.as_mut().filter(|running| running.process == process);
            running.map(|running| running.quits = true).is_some()
        })?;
        if told {
            self.memory.was_told(process, self.hands.now());
            self.hands.world.note(format_args!("{} tells the manager on {} to leave", self.hands, self.id));
            if let Some(pool) = &mut self.hands.world.state().pool {
                pool.bell.ring();
            }
        }
        Some(())
    }

    async fn beats(&mut self) {
        match self.hands.beats(self.id).await {
            Ok(Heard::Taken) => self.memory.has_beaten(self.hands.now()),
            Ok(Heard::NothingWaits) | Err(_) => self.put_off(),
        }
    }

    /// Whether the hook took it.
    async fn completes(&mut self) -> bool {
        let heard = self.hands.completes(self.id).await;
        if !matches!(heard, Ok(Heard::Taken)) {
            self.put_off();
        }
        matches!(heard, Ok(Heard::Taken))
    }

    fn put_off(&mut self) {
        self.memory.was_put_off(self.hands.now(), self.heartbeat);
    }
}

/// A heartbeat arrives at the hook.
pub(crate) fn beaten(hands: &Hands<'_>, id: &str) -> Heard {
    let Some(setup) = &hands.world.setup.pool else { return Heard::NothingWaits };
    let heartbeat = setup.group.hook.as_ref().map_or(Millis(0), |hook| hook.heartbeat);
    let until = hands.world.now() + heartbeat;
    let beaten =
        at(hands, id, |member| member.hooked.as_mut().map(|hooked| hooked.until = until.min(hooked.limit)).is_some());
    if beaten == Some(true) { Heard::Taken } else { Heard::NothingWaits }
}

/// The hook's answer arrives.
pub(crate) fn completed(hands: &Hands<'_>, id: &str) -> Heard {
    match at(hands, id, |member| member.hooked.take().is_some()) {
        Some(true) => {
            hands.world.note(format_args!("{hands} answers the hook of {id}"));
            group::ends(hands.world, id, group::Ended::Answered);
            Heard::Taken
        }
        _ => Heard::NothingWaits,
    }
}
