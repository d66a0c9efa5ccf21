//! The small world: its states, and the search over them.

mod decide;
mod quick;
mod rows;
mod step;
mod symmetry;

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::fmt;

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
    /// Whether launches may be sent that are charged to no job.
    pub(crate) sentinels: bool,
}

/// A rule that is switched off, to see that the search finds what it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// Unbound launches are closed although their runners still ask.
    CloseAnyTime,
    /// Runners ask without the ledger's permission.
    AskWithoutBegin,
    /// Runners ask on after their wait is over.
    AskAfterWait,
    /// A second delivery of a launch's event begins although the first has begun.
    BeginTwice,
    /// A launch that is being stopped binds a job.
    BindOnClosing,
    /// An older binding stays in the job's row although a newer 201 went to another launch.
    KeepOlderBinding,
    /// A launch is closed although it is bound.
    CloseBound,
    /// A refused acceptance leaves the binding in the row.
    NoUnbind,
    /// Who gives a job back frees its row although that names another launch.
    UnbindOthers,
    /// Runners hold on to an offer for longer than GitLab does.
    NoLimits,
    /// Runners report a job that they did not accept although its offer may have run out.
    ReportOldOffers,
    /// A lost launch takes its job's row and reports it although that names another launch. What breaks is the row: the
    /// report alone would harm nobody in this world, because an accepted job is offered to no other runner, and what
    /// was not accepted is reported only as long as the offer lasts (which is a rule of its own, [`Self::ReportLate`]).
    LoseOthers,
    /// A lost launch that is not known to have accepted is reported although the offer may have run out.
    ReportLate,
    /// The end of a job stops the launch that was charged to it instead of the one that is bound to it.
    StopTheChargedLaunch,
    /// A job that loses its launch to another job keeps naming it.
    KeepTheLostCharge,
    /// The sweep gives away a launch that its own job still waits for.
    AssignTheNeeded,
    /// AWS's word that a launch was never started ends one that has begun.
    BelieveThrottles,
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
    /// The process of this number.
    Process(u8),
}

/// A job's row, as far as decisions look at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct JobBits {
    pub(crate) status: u8,
    pub(crate) state: u8,
    pub(crate) charge: Option<u8>,
    pub(crate) launch: Option<u8>,
}

/// A launch's row, as far as decisions look at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct LaunchBits {
    pub(crate) state: u8,
    pub(crate) charged_to: Option<u8>,
    pub(crate) bound: Option<u8>,
    pub(crate) claimed: bool,
    pub(crate) accepted: bool,
    /// It is over but for what GitLab is to be told about its job.
    pub(crate) owes: bool,
}

/// Every row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Ledger {
    pub(crate) jobs: [Option<JobBits>; 2],
    pub(crate) launches: [Option<LaunchBits>; 3],
}

/// What a process knows and does. The process of launch `i` has its number; one more may be a second delivery's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Process {
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
    /// It is held up between the 201 and the acceptance, by its machine or by a slow write.
    pub(crate) slow: bool,
    /// The offer of its job ran out at GitLab: more than two minutes have passed since the 201.
    pub(crate) late: bool,
    /// Somebody wrote `closing` into its launch's row and is about to stop it.
    pub(crate) doomed: bool,
}

/// The number of the process that a second delivery of a launch's event starts.
pub(crate) const SECOND: u8 = 3;

/// The whole world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct World {
    pub(crate) gl: [Gl; 2],
    pub(crate) ledger: Ledger,
    pub(crate) processes: [Process; 4],
    /// The launch that the second delivery's process speaks for.
    pub(crate) second_of: Option<u8>,
    pub(crate) luck: u8,
}

/// What a search found.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) states: usize,
    pub(crate) disaster: Option<String>,
    pub(crate) stuck: Option<String>,
}

/// What happens, to whom.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Label {
    pub(crate) what: &'static str,
    pub(crate) launch: Option<u8>,
    pub(crate) job: Option<u8>,
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.launch.map_or(Ok(()), |i| write!(f, "{i} "))?;
        write!(f, "{}", self.what)?;
        self.job.map_or(Ok(()), |k| write!(f, " {}", char::from(b'A' + k)))
    }
}

/// A step: its name and where it leads, or the disaster that it is.
pub(crate) enum Step {
    To(Label, World),
    Disaster(Label),
}

/// Explores everything that can happen.
pub(crate) fn explore(mode: Mode, setup: Setup, broken: Option<Broken>) -> Found {
    let rules = step::Rules::new(mode, setup, broken);
    let start = World {
        gl: [Gl { status: GlStatus::Pending, by: By::Nobody, ran: false }; 2],
        ledger: Ledger::default(),
        processes: [Process::default(); 4],
        second_of: None,
        luck: setup.misfortunes,
    };
    let mut index: HashMap<World, u32, quick::Quick> = HashMap::from_iter([(start, 0)]);
    let mut worlds = vec![start];
    let mut came: Vec<(u32, Label)> = vec![(0, Label::default())];
    let mut back: Vec<(u32, u32)> = Vec::new();
    let mut todo = VecDeque::from([0_u32]);
    let mut steps = Vec::new();
    while let Some(at) = todo.pop_front() {
        step::steps(&rules, &worlds[at as usize], &mut steps);
        for step in steps.drain(..) {
            let (label, next) = match step {
                Step::Disaster(what) => {
                    let disaster = Some(format!("{what} || after: {}", path(&came, at)));
                    return Found { states: worlds.len(), disaster, stuck: None };
                }
                Step::To(label, next) => (label, symmetry::representative(&next)),
            };
            let fresh = u32::try_from(worlds.len()).expect("fewer than 2^32 states");
            let to = match index.entry(next) {
                Entry::Occupied(known) => *known.get(),
                Entry::Vacant(place) => {
                    place.insert(fresh);
                    worlds.push(next);
                    came.push((at, label));
                    todo.push_back(fresh);
                    fresh
                }
            };
            back.push((to, at));
        }
    }
    let stuck = find_stuck(&worlds, back, setup).map(|at| format!("{} -> {:?}", path(&came, at), worlds[at as usize]));
    Found { states: worlds.len(), disaster: None, stuck }
}

/// A state from which no good end can be reached although launches are left. `back` leads from each state to those before.
fn find_stuck(worlds: &[World], mut back: Vec<(u32, u32)>, setup: Setup) -> Option<u32> {
    back.sort_unstable();
    back.dedup();
    let mut ok = vec![false; worlds.len()];
    let all = 0..u32::try_from(worlds.len()).expect("fewer than 2^32 states");
    let mut todo: Vec<u32> = all.clone().filter(|&at| is_good(&worlds[at as usize])).collect();
    todo.iter().for_each(|&at| ok[at as usize] = true);
    while let Some(at) = todo.pop() {
        let first = back.partition_point(|&(to, _)| to < at);
        for &(_, before) in back[first..].iter().take_while(|&&(to, _)| to == at) {
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
    let known = world.ledger.jobs.iter().all(|row| row.is_some_and(|row| row.state == rows::ENDED));
    let closed = world.ledger.launches.iter().flatten().all(|launch| launch.state == rows::CLOSED);
    over && known && closed && !world.processes.iter().any(|process| process.alive)
}

fn launches_left(world: &World, setup: Setup) -> bool {
    let used = world.ledger.launches.iter().flatten().count();
    let open = world.gl.iter().filter(|job| job.status != GlStatus::Ended).count();
    setup.launches - used >= open
}

fn path(came: &[(u32, Label)], mut at: u32) -> String {
    let mut names = Vec::new();
    while at != 0 {
        let (from, label) = came[at as usize];
        names.push(label.to_string());
        at = from;
    }
    names.reverse();
    names.join(" | ")
}
