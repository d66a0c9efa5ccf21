//! The small world: states, moves, and the search over them.

mod rows;
mod step;
mod symmetry;

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};

/// Whether GitLab's two-phase commit is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// A 201 only offers the job; it runs once it is accepted.
    TwoPhase,
    /// The job runs from the 201 on.
    OnePhase,
}

/// How big the world is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup {
    pub(crate) launches: usize,
    pub(crate) misfortunes: u8,
}

/// A rule that is switched off, to see that the search finds what it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// Unbound launches are closed although their runners still ask.
    CloseAnyTime,
    /// Runners ask without the ledger's permission.
    AskWithoutBegin,
    /// A refused acceptance leaves the binding in the row.
    NoUnbind,
    /// Runners hold on to an offer for longer than GitLab does.
    NoLimits,
    /// A lost launch is reported although the job's row names another one.
    ReportUnconditionally,
    /// A lost launch that is not known to have accepted is reported although the offer may have run out.
    ReportLate,
    /// The end of a job stops the launch that was charged to it instead of the one that is bound to it.
    StopTheChargedLaunch,
    /// A job that loses its launch to another job keeps naming it.
    KeepTheLostCharge,
}

/// A job at GitLab.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Gl {
    pub(crate) status: GlStatus,
    pub(crate) by: By,
    /// Whether it ever ran, so that a `running` hook may be on its way.
    pub(crate) ran: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum GlStatus {
    Pending,
    Offered,
    Running,
    Ended,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum By {
    Nobody,
    Foreign,
    Launch(u8),
}

/// A job's row, as far as decisions look at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct JobBits {
    pub(crate) status: u8,
    pub(crate) state: u8,
    pub(crate) charge: Option<u8>,
    pub(crate) launch: Option<u8>,
}

/// A launch's row, as far as decisions look at it, and what its runner knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct LaunchBits {
    pub(crate) state: u8,
    pub(crate) charged_to: Option<u8>,
    pub(crate) bound: Option<u8>,
    pub(crate) accepted: bool,
    pub(crate) runner: Runner,
}

/// What the launch's process is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Runner {
    pub(crate) started: bool,
    pub(crate) alive: bool,
    pub(crate) began: bool,
    /// Its own wait is over: it asks no more.
    pub(crate) over: bool,
    /// A job that GitLab offered and that is not bound yet.
    pub(crate) got: Option<u8>,
    /// The job that it bound.
    pub(crate) has: Option<u8>,
    /// It accepted its job.
    pub(crate) acc: bool,
    /// The offer of its job ran out at GitLab: more than two minutes have passed since the 201.
    pub(crate) late: bool,
}

/// The whole world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct World {
    pub(crate) gl: [Gl; 2],
    pub(crate) jobs: [Option<JobBits>; 2],
    pub(crate) launches: [Option<LaunchBits>; 3],
    pub(crate) luck: u8,
}

/// What a search found.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) states: usize,
    pub(crate) disaster: Option<String>,
    pub(crate) stuck: Option<String>,
}

/// A step: its name and where it leads, or the disaster that it is.
pub(crate) enum Step {
    To(String, World),
    Disaster(String),
}

/// Explores everything that can happen.
pub(crate) fn explore(mode: Mode, setup: Setup, broken: Option<Broken>) -> Found {
    let rules = step::Rules { mode, launches: setup.launches, broken };
    let start = World {
        gl: [Gl { status: GlStatus::Pending, by: By::Nobody, ran: false }; 2],
        jobs: [None; 2],
        launches: [None; 3],
        luck: setup.misfortunes,
    };
    let mut index: HashMap<World, u32> = HashMap::from([(start, 0)]);
    let mut worlds = vec![start];
    let mut came: Vec<(u32, String)> = vec![(0, String::new())];
    let mut back: Vec<Vec<u32>> = vec![vec![]];
    let mut todo = VecDeque::from([0_u32]);
    while let Some(at) = todo.pop_front() {
        for step in step::steps(&rules, &worlds[at as usize]) {
            let (name, next) = match step {
                Step::Disaster(what) => {
                    let disaster = Some(format!("{what}: {}", path(&came, at)));
                    return Found { states: worlds.len(), disaster, stuck: None };
                }
                Step::To(name, next) => (name, symmetry::representative(&next)),
            };
            let fresh = u32::try_from(worlds.len()).expect("fewer than 2^32 states");
            let to = match index.entry(next) {
                Entry::Occupied(known) => *known.get(),
                Entry::Vacant(place) => {
                    place.insert(fresh);
                    worlds.push(next);
                    came.push((at, name));
                    back.push(vec![]);
                    todo.push_back(fresh);
                    fresh
                }
            };
            back[to as usize].push(at);
        }
    }
    let stuck = find_stuck(&worlds, &back, setup).map(|at| format!("{} -> {:?}", path(&came, at), worlds[at as usize]));
    Found { states: worlds.len(), disaster: None, stuck }
}

/// A state from which no good end can be reached although launches are left.
fn find_stuck(worlds: &[World], back: &[Vec<u32>], setup: Setup) -> Option<u32> {
    let mut ok = vec![false; worlds.len()];
    let all = 0..u32::try_from(worlds.len()).expect("fewer than 2^32 states");
    let mut todo: Vec<u32> = all.clone().filter(|&at| is_good(&worlds[at as usize])).collect();
    todo.iter().for_each(|&at| ok[at as usize] = true);
    while let Some(at) = todo.pop() {
        for &before in &back[at as usize] {
            if !std::mem::replace(&mut ok[before as usize], true) {
                todo.push(before);
            }
        }
    }
    let mut all = all;
    all.find(|&at| !ok[at as usize] && launches_left(&worlds[at as usize], setup))
}

/// Both jobs are over, both rows know, and nothing of ours is left.
fn is_good(world: &World) -> bool {
    let over = world.gl.iter().all(|job| job.status == GlStatus::Ended);
    let known = world.jobs.iter().all(|row| row.is_some_and(|row| row.state == rows::ENDED));
    let gone = |launch: &LaunchBits| launch.state == rows::CLOSED && !launch.runner.alive;
    over && known && world.launches.iter().flatten().all(gone)
}

fn launches_left(world: &World, setup: Setup) -> bool {
    let used = world.launches.iter().flatten().count();
    let open = world.gl.iter().filter(|job| job.status != GlStatus::Ended).count();
    setup.launches - used >= open
}

fn path(came: &[(u32, String)], mut at: u32) -> String {
    let mut names = Vec::new();
    while at != 0 {
        let (from, name) = &came[at as usize];
        names.push(name.as_str());
        at = *from;
    }
    names.reverse();
    names.join(" | ")
}
