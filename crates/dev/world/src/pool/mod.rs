//! A pool in a world: an Auto Scaling group of runner managers, the scaler that sizes it, and what goes wrong around both.
//!
//! The scaler's run, what it remembers in the ledger, and what a member that leaves decides are the real things; the group is
//! the stand-in that the scaler's own tests use, with what Auto Scaling does by itself around it ([`group`]). A runner manager
//! ([`manager`]) asks the world's GitLab for jobs of tags that no lane has, and the program beside it ([`agent`]) lets its
//! member go.

pub(crate) mod agent;
mod bell;
mod group;
mod load;
mod manager;
mod member;
mod scaler;
mod setup;
mod table;
mod trouble;

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::Pin;

use runnerless_core::pool::{Group, Phase};
use runnerless_core::time::{Millis, Timestamp};

use crate::event::Event;
use crate::gitlab::{RunnerKind, RunnerSpec};
use crate::setup::BEGIN;
use crate::world::{State, World};
use bell::Bell;
use member::Member;
use trouble::Spells;

pub(crate) use group::{Ended, leaves, seems};
pub(crate) use setup::{GROUP, PoolSetup};
pub(crate) use table::{Silence, Told, answers};
pub(crate) use trouble::by_hand;

/// The schedule's rate (see the pool's template).
const RATE: Millis = Millis::minutes(1);
/// When the first run comes.
const FIRST: Millis = Millis::secs(41);

/// What becomes of a pool in time.
#[derive(Clone, Debug)]
pub(crate) enum Happens {
    /// The schedule starts a run of the scaler.
    Run,
    /// A minute in which somebody, or AWS, may do something.
    Minute,
    /// The group looks at what it has and what it wants.
    Settles,
    /// The group shows this member in service.
    InService(String),
    /// This member's system is up.
    Boots(String),
    /// Its runner manager starts.
    Manager(String),
    /// The program beside it sees that the member is to leave.
    Agent(String),
    /// The group's hook begins to wait for this member.
    Waits(String),
    /// The hook's time may be over.
    HookEnds(String),
    /// The instance is gone.
    Gone(String, Ended),
    /// The last jobs come.
    Burst,
}

/// A pool as it is.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    /// Its members, those that leave included.
    pub(crate) members: BTreeMap<String, Member>,
    /// Its runner at GitLab.
    pub(crate) runner: u64,
    /// What wakes those that wait for a job, or for the word that they shall take none any more.
    pub(crate) bell: Bell,
    /// What Auto Scaling showed lately.
    pub(crate) shown: VecDeque<(Timestamp, Group)>,
    /// Troubles that last.
    spells: Spells,
    projects: Vec<u64>,
    /// Whether the last jobs have come.
    burst_came: bool,
    /// How many members the group launched.
    launched: u32,
}

impl Pool {
    /// The member whose metrics are at this address.
    pub(crate) fn at(&self, address: std::net::IpAddr) -> Option<&str> {
        self.members.iter().find(|(_, member)| member.address == address).map(|(id, _)| id.as_str())
    }

    /// Members that are in service and take jobs.
    pub(crate) fn serving(&self, group: &Group) -> u32 {
        let in_service =
            |id: &String| group.members.iter().any(|member| member.id == *id && member.phase == Phase::InService);
        let serving = self.members.iter().filter(|(id, member)| member.takes_jobs() && in_service(id));
        u32::try_from(serving.count()).unwrap_or(u32::MAX)
    }

    /// Runner managers that run.
    pub(crate) fn managers(&self) -> usize {
        self.members.values().filter(|member| member.running.is_some()).count()
    }

    /// Whether a member leaves, or has a job.
    fn is_moving(&self) -> bool {
        self.members.values().any(|member| member.leaves() || member.jobs() > 0)
    }
}

/// Makes the group, its runner and the plan of what its users do, where the world has a pool.
pub(crate) fn furnish(world: &World, state: &mut State, projects: &[u64]) {
    let Some(setup) = &world.setup.pool else { return };
    let spec =
        RunnerSpec { kind: RunnerKind::Pool, tags: setup.tags.clone(), run_untagged: false, ref_protected: false };
    let runner = state.gitlab.add_runner(spec);
    state.pool = Some(Pool { runner, projects: projects.to_vec(), ..Pool::default() });
    world.scaling.put(setup.group.clone());
    for (at, step) in load::load(setup, projects, world.setup.jobs, (BEGIN, world.setup.span)) {
        world.timeline.happens_at(at, Event::User(step));
    }
    world.timeline.happens_in(Millis::secs(1), Event::Pool(Happens::Settles));
    world.timeline.happens_in(FIRST, Event::Pool(Happens::Run));
    world.timeline.happens_in(RATE, Event::Pool(Happens::Minute));
}

/// Something happens to the pool.
pub(crate) fn happens(world: &World, what: Happens) -> Option<Pin<Box<dyn Future<Output = ()> + '_>>> {
    match what {
        Happens::Run => return scaler::starts(world),
        Happens::Manager(id) => return Some(Box::pin(manager::runs(world, id))),
        Happens::Agent(id) => return Some(Box::pin(agent::watches(world, id))),
        Happens::Minute => trouble::minute(world),
        Happens::Settles => group::settles(world),
        Happens::InService(id) => group::enters_service(world, &id),
        Happens::Boots(id) => member::boots(world, &id),
        Happens::Waits(id) => group::waits(world, &id),
        Happens::HookEnds(id) => group::hook_ends(world, &id),
        Happens::Gone(id, how) => group::gone(world, &id, how),
        Happens::Burst => bursts(world),
    }
    None
}

/// Nothing goes wrong any more: what lasted is over, and some time later jobs come at once.
pub(crate) fn calms(world: &World) {
    let Some(setup) = &world.setup.pool else { return };
    trouble::calms(world);
    world.timeline.happens_in(setup.burst_after, Event::Pool(Happens::Burst));
}

fn bursts(world: &World) {
    let Some(setup) = &world.setup.pool else { return };
    let step = load::burst(setup, &projects(world));
    if let Some(pool) = &mut world.state().pool {
        pool.burst_came = true;
    }
    world.at_gitlab(|gitlab, now| gitlab.step(&step, now));
}

/// A user starts some jobs just now.
pub(crate) fn jobs_come(world: &World) {
    let Some(setup) = &world.setup.pool else { return };
    let projects = projects(world);
    let step = world.draw(|rng| load::some(setup, &projects, rng));
    world.at_gitlab(|gitlab, now| gitlab.step(&step, now));
}

fn projects(world: &World) -> Vec<u64> {
    world.state().pool.as_ref().map(|pool| pool.projects.clone()).unwrap_or_default()
}

/// Whether nothing is left to do here: the last jobs came and went, and who is there for none is gone, or should be.
pub(crate) fn rests(world: &World, state: &State) -> bool {
    let (Some(setup), Some(pool)) = (&world.setup.pool, &state.pool) else { return true };
    let Some(group) = world.scaling.now(GROUP) else { return true };
    let idle = pool.burst_came && !pool.is_moving() && !state.gitlab.has_work_for(pool.runner);
    let is_down = pool.serving(&group) <= setup.idle_members(&group) || !setup.lets_go();
    let busy_until = state.gitlab.last_end_for(pool.runner).unwrap_or(BEGIN);
    idle && (is_down || world.now() >= busy_until + setup.comes_down_within())
}
