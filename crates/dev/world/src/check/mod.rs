//! What must hold in a world, while it goes on and when it is over.

mod bound;
mod instances;
mod judge;
mod pool;
mod rows;
mod runners;
mod strict;
mod waits;

use std::collections::{BTreeMap, BTreeSet};

use runnerless_core::id::{JobKey, LaneId, LaunchId};
use runnerless_core::limits;
use runnerless_core::status::JobStatus;
use runnerless_core::time::{Millis, Timestamp};

use crate::fault::Fault;
use crate::gitlab::Hook;
use crate::setup::{Knowledge, Outage, Setup};
use rows::Rows;

pub(crate) use judge::{Calls, Left, Verdict};
pub use pool::PoolCounts;
pub(crate) use pool::{By, PoolLeft, Ran};
pub use runners::RunnerCounts;
pub(crate) use runners::launch_named;

/// A promise that was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Promise {
    /// A job that a lane of ours could serve was given up by GitLab, or nobody ended it.
    Lost,
    /// A job waited longer than its bound.
    Waited,
    /// A job's script began twice.
    Doubled,
    /// Two live launches were charged to one job.
    TwoLaunches,
    /// A launch was bound although it was being closed, or bound again to another job.
    BoundAndClosed,
    /// Somebody of ours ended a job beside its living process, or stopped its launch.
    Killed,
    /// A process outlived its launch's deadline.
    PastDeadline,
    /// The world was quiet, and a row of ours was not.
    Leaked,
    /// A row that is over keeps a secret.
    SecretLeft,
    /// A runner manager of ours is left in GitLab.
    RecordsLeft,
    /// A runner that was made for one launch is left in GitLab, or nobody was told of one that may be.
    RunnersLeft,
    /// A launch asked as another's runner, or as its lane's although it has one of its own.
    RunnerShared,
    /// The world was quiet, and an instance of ours was still there.
    InstancesLeft,
    /// Something that only looks like ours was touched.
    Touched,
    /// A job cost more calls than it may.
    Calls,
    /// A job cost more launches than it may.
    Launches,
    /// A row was written that no rule allows.
    Row,
    /// An alarm was sounded in a world in which nothing went wrong.
    FalseAlarm,
    /// A job of a pool ended with its member, or a member was let go that had not told often enough that it is idle.
    PoolEnded,
    /// A pool was sized beyond its limits, or by a larger step than it may be.
    PoolBounds,
    /// A pool's desired capacity was lowered, so that the group chooses whom it ends.
    PoolLowered,
    /// A run of the scaler acted that had not stored what it saw, or was only to look.
    PoolOutOfTurn,
    /// A run of the scaler did not tell what failed, or why it did nothing.
    PoolSilent,
    /// Nothing was left to do, and members of a pool were there that nobody needs.
    PoolLarge,
    /// A pool's member that was to leave went on taking jobs.
    PoolLingers,
    /// A pool's group may end members by itself.
    PoolLoose,
    /// The world did not end.
    Endless,
}

/// A broken promise, with what broke it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub promise: Promise,
    /// Who and how.
    pub what: String,
}

/// Whom a trouble hits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Whom {
    /// Whomever this process serves.
    Process(u32),
    /// One job.
    Job(JobKey),
    /// Each job that was ever charged to this launch: launches are handed on.
    Launch(LaunchId),
    /// The jobs of a lane: its launches take each other's.
    Lane(LaneId),
    /// The jobs of the pool.
    Pool,
    /// All.
    Everybody,
}

/// A trouble that was met.
#[derive(Clone, Debug)]
struct Met {
    at: Timestamp,
    fault: Fault,
    whom: Whom,
}

/// What is known of a launch's process.
#[derive(Clone, Debug, Default)]
struct Runner {
    launch: Option<LaunchId>,
    /// The job that GitLab handed to it.
    offered: Option<JobKey>,
    job: Option<JobKey>,
    /// It died, or is over.
    ended: bool,
    /// When it last stood still or could not renew.
    hindered_at: Option<Timestamp>,
    /// It is somebody else's function, which leaves no token.
    leaves_no_token: bool,
}

/// What the checks know.
#[derive(Debug)]
pub(crate) struct Check {
    rows: Rows,
    serves: BTreeMap<u32, Whom>,
    runners: BTreeMap<u32, Runner>,
    met: Vec<Met>,
    /// When a job's `pending` was first answered by 2xx.
    told: BTreeMap<JobKey, Timestamp>,
    /// Since when a project is known, so that its pending jobs are listed.
    known: BTreeMap<u64, Timestamp>,
    violations: Vec<Violation>,
    foreign_lanes: BTreeSet<LaneId>,
    strict: strict::Strict,
    instances: instances::Instances,
    own: runners::OwnRunners,
    pool: pool::PoolCheck,
}

/// Each hits everybody for as long as it lasts.
fn of_outages(setup: &Setup) -> Vec<Met> {
    let every = usize::try_from(limits::START_LEASE.0).unwrap_or(1);
    let met = |outage: &Outage| {
        let times = (outage.from.0..outage.until.0).step_by(every).chain([outage.until.0]);
        times.map(|at| Met { at: Timestamp(at), fault: outage.fault, whom: Whom::Everybody }).collect::<Vec<_>>()
    };
    setup.outages.iter().flat_map(met).collect()
}

/// An instance's watchdog looks at the clock now and then, and gives its runner some time to report.
const WATCHDOG: Millis = Millis::secs(30);

impl Check {
    pub(crate) fn new(setup: &Setup) -> Self {
        let foreign = setup.lanes.iter().filter(|lane| lane.lane.target == crate::setup::FOREIGN_FUNCTION);
        Self {
            rows: Rows::default(),
            serves: BTreeMap::new(),
            runners: BTreeMap::new(),
            met: of_outages(setup),
            told: BTreeMap::new(),
            known: BTreeMap::new(),
            violations: Vec::new(),
            foreign_lanes: foreign.map(|lane| lane.lane.id()).collect(),
            strict: strict::Strict::default(),
            instances: instances::Instances::default(),
            own: runners::OwnRunners::new(setup),
            pool: pool::PoolCheck::new(setup.pool.as_ref()),
        }
    }

    /// Whether a promise was broken.
    pub(crate) fn is_broken(&self) -> bool {
        !self.violations.is_empty()
    }

    fn breaks(&mut self, promise: Promise, what: String) {
        self.violations.push(Violation { promise, what });
    }

    /// The operator named a project.
    pub(crate) fn named(&mut self, project: u64, now: Timestamp) {
        self.known.insert(project, now);
    }

    /// A process serves this job.
    pub(crate) fn serves(&mut self, process: u32, job: JobKey) {
        self.serves.insert(process, Whom::Job(job));
    }

    /// A process serves whatever job has this launch: it is handed on while its instance boots.
    pub(crate) fn serves_launch(&mut self, process: u32, launch: &LaunchId) {
        self.serves.insert(process, Whom::Launch(launch.clone()));
    }

    /// A process serves all jobs.
    pub(crate) fn serves_everybody(&mut self, process: u32) {
        self.serves.insert(process, Whom::Everybody);
    }

    /// A process serves the pool.
    pub(crate) fn serves_pool(&mut self, process: u32) {
        self.serves.insert(process, Whom::Pool);
    }

    /// A process does what another one asks it to.
    pub(crate) fn speaks_for(&mut self, process: u32, of: u32) {
        self.serves.insert(process, Whom::Process(of));
    }

    /// For which process this one speaks: another one, or itself.
    fn speaker(&self, process: u32) -> u32 {
        match self.serves.get(&process) {
            Some(Whom::Process(other)) => *other,
            _ => process,
        }
    }

    /// A process runs for a launch.
    pub(crate) fn runs(&mut self, process: u32, launch: &str) {
        let launch = LaunchId::new(launch);
        let lane = self.rows.lane_of(&launch);
        let leaves_no_token = lane.as_ref().is_some_and(|lane| self.foreign_lanes.contains(lane));
        self.serves.insert(process, lane.map_or(Whom::Everybody, Whom::Lane));
        self.runners.insert(process, Runner { launch: Some(launch), leaves_no_token, ..Runner::default() });
    }

    /// A process began its launch.
    pub(crate) fn began(&mut self, launch: &LaunchId, process: u32) {
        self.begins(launch, process);
    }

    /// GitLab handed a job to a process.
    pub(crate) fn offered(&mut self, process: u32, job: JobKey) {
        if let Some(runner) = self.runners.get_mut(&process) {
            runner.offered = Some(job);
        }
    }

    /// A lane's token was replaced: what was sealed under it opens no more.
    pub(crate) fn rotated(&mut self, lane: &LaneId) {
        let rows = &self.rows;
        let of =
            |runner: &&mut Runner| runner.launch.as_ref().is_some_and(|id| rows.lane_of(id).as_ref() == Some(lane));
        self.runners.values_mut().filter(of).for_each(|runner| runner.leaves_no_token = true);
    }

    /// A process has a job that GitLab counts as its.
    pub(crate) fn accepted(&mut self, launch: &LaunchId, job: JobKey, process: u32) {
        self.accepts(launch, job, process);
        if let Some(runner) = self.runners.get_mut(&process) {
            runner.job = Some(job);
        }
    }

    /// A process is done with its job.
    pub(crate) fn done(&mut self, process: u32) {
        if let Some(runner) = self.runners.get_mut(&process) {
            runner.job = None;
        }
    }

    /// A process, and what it runs, may be written off from now on.
    pub(crate) fn hinders(&mut self, process: u32, now: Timestamp) {
        if let Some(runner) = self.runners.get_mut(&process) {
            runner.hindered_at = Some(now);
        }
    }

    /// A process could not renew its lease.
    pub(crate) fn not_renewed(&mut self, launch: &LaunchId, now: Timestamp) {
        let of = |runner: &&mut Runner| runner.launch.as_ref() == Some(launch);
        self.runners.values_mut().filter(of).for_each(|runner| runner.hindered_at = Some(now));
    }

    /// A process is over.
    pub(crate) fn ran(&mut self, process: u32, now: Timestamp) {
        let Some(runner) = self.runners.get_mut(&process) else { return };
        runner.ended = true;
        runner.job = None;
        let Some(launch) = runner.launch.clone() else { return };
        if self.rows.deadline_of(&launch).is_some_and(|deadline| now > deadline + WATCHDOG) {
            self.breaks(Promise::PastDeadline, format!("process {process} outlived the deadline of launch {launch}"));
        }
    }

    /// GitLab got this answer to a hook.
    pub(crate) fn hook_answered(&mut self, hook: &Hook, accepted: bool, now: Timestamp) {
        if hook.status != JobStatus::Pending {
            return;
        }
        if accepted {
            self.is_stored(hook);
            self.told.entry(hook.job).or_insert(now);
        } else {
            self.met.push(Met { at: now, fault: Fault::HookLost, whom: Whom::Job(hook.job) });
        }
    }

    /// Something went wrong for somebody.
    pub(crate) fn hit(&mut self, fault: Fault, whom: &Whom, now: Timestamp) {
        let whom = self.resolve(whom.clone(), fault, now);
        self.met.push(Met { at: now, fault, whom });
    }

    fn resolve(&mut self, whom: Whom, fault: Fault, now: Timestamp) -> Whom {
        let Whom::Process(process) = whom else { return whom };
        if fault == Fault::RunnerFrozen
            && let Some(runner) = self.runners.get_mut(&process)
        {
            runner.hindered_at = Some(now);
        }
        match self.serves.get(&process).cloned() {
            Some(Whom::Process(other)) => self.resolve(Whom::Process(other), fault, now),
            // Launches are handed on: a launch that was made for one job may be another one's by now.
            Some(Whom::Job(job)) => self.rows.lane_of_job(job).map_or(Whom::Job(job), Whom::Lane),
            Some(known) => known,
            None => Whom::Everybody,
        }
    }

    /// Whether a row is due by then.
    pub(crate) fn has_due_rows(&self, by: Timestamp) -> bool {
        self.rows.first_due().is_some_and(|at| at <= by)
    }

    /// Whether no row of ours has anything left to do, but for what only a word of GitLab's could settle.
    pub(crate) fn is_quiet(&self, knowledge: Knowledge) -> bool {
        self.rows.open(knowledge).next().is_none()
    }
}
