//! One trace through each scaler.

use runnerless_core::pool::Settings;
use runnerless_core::time::Millis;

use crate::arguments::Conditions;
use crate::pool::{BEGIN, Fate, Pool, Shape};
use crate::scalers::{Fixed, Ours, Scaler, Tracking};
use crate::trace::Trace;

/// How often a scaler runs, and what CloudWatch's metrics are averages of.
const EVERY: Millis = Millis::minutes(1);

/// How long after the last job could have ended the hours are counted: in it a pool shows that it shrinks.
const AFTER: Millis = Millis::minutes(60);

/// Every job ends within its waits and runs, one after the other on one member: a pool in which jobs are still there later
/// does not take them.
const GIVE_UP: Millis = Millis::days(62);

/// Who sizes the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rival {
    /// Our scaler.
    Ours,
    /// Our scaler, which does not count the jobs that wait.
    OursWithoutPending,
    /// Target tracking on CPU.
    TargetTracking,
    /// A fixed group with at least the instance hours of ours.
    Fixed,
}

impl Rival {
    /// All, in the order in which they run: the fixed group is made after ours.
    pub const ALL: [Self; 4] = [Self::Ours, Self::OursWithoutPending, Self::TargetTracking, Self::Fixed];

    /// Its name in a line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::OursWithoutPending => "ours-without-pending",
            Self::TargetTracking => "target-tracking-cpu",
            Self::Fixed => "fixed",
        }
    }
}

/// What came of a trace under one scaler.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Which.
    pub rival: Rival,
    /// Its jobs.
    pub jobs: usize,
    /// Those whose member was ended under them.
    pub killed: usize,
    /// Those that never ended.
    pub unfinished: usize,
    /// How long each job waited that was taken, the shortest first.
    pub waits: Vec<Millis>,
    /// The time that all members together were there.
    pub spent: Millis,
    /// The most members at once.
    pub most: u32,
}

impl Outcome {
    /// The wait that so many percent of the jobs did not exceed.
    #[must_use]
    pub fn wait(&self, percent: usize) -> Millis {
        let at = (self.waits.len() * percent).div_ceil(100).max(1) - 1;
        self.waits.get(at).copied().unwrap_or_default()
    }

    /// The hours of all members.
    #[must_use]
    pub fn hours(&self) -> f64 {
        // Exact: a replay has fewer milliseconds than a float has integers.
        self.spent.0 as f64 / 3_600_000.0
    }

    /// Whether what is promised held: each job ended, and under ours none was killed.
    #[must_use]
    pub const fn is_fine(&self) -> bool {
        let ours = matches!(self.rival, Rival::Ours | Rival::OursWithoutPending);
        self.unfinished == 0 && (!ours || self.killed == 0)
    }
}

/// Replays a trace under each scaler.
#[must_use]
pub fn replay(trace: &Trace, conditions: &Conditions) -> Vec<Outcome> {
    let mut outcomes: Vec<Outcome> = Vec::new();
    for rival in Rival::ALL {
        let like = outcomes.first().map_or(Millis(0), |ours| ours.spent);
        outcomes.push(one(rival, trace, conditions, like));
    }
    outcomes
}

/// Until when the hours of each scaler are counted at least.
fn horizon(trace: &Trace) -> Millis {
    let ends = trace.jobs.iter().map(|job| job.at.0 + job.length.0).max().unwrap_or(0);
    Millis(ends + AFTER.0)
}

fn one(rival: Rival, trace: &Trace, conditions: &Conditions, like: Millis) -> Outcome {
    let horizon = horizon(trace);
    let settings = &conditions.settings;
    // What an idle pool has: a trace begins in the middle of a pool's life.
    let idle = settings.minimum.max(settings.headroom_slots.div_ceil(settings.slots_per_member)).min(settings.maximum);
    let own = |scaler: Ours| (Box::new(scaler) as Box<dyn Scaler>, idle, true);
    let (mut scaler, members, ours) = match rival {
        Rival::Ours => own(Ours::new(settings.clone())),
        Rival::OursWithoutPending => own(Ours::without_pending(settings.clone())),
        Rival::TargetTracking => {
            (Box::new(Tracking::new(conditions.cpu_target)) as Box<dyn Scaler>, idle.max(1), false)
        }
        Rival::Fixed => (Box::new(Fixed) as Box<dyn Scaler>, equal(like, horizon), false),
    };
    let mut pool = Pool::new(shape(rival, conditions, members, ours), members, trace.clone(), conditions.seed);
    let (end, give_up) = (BEGIN + horizon, BEGIN + GIVE_UP);
    let mut most = 0;
    while pool.now() < end || (!pool.is_over() && pool.now() < give_up) {
        pool.advance(pool.now() + EVERY);
        scaler.run(&mut pool);
        most = most.max(u32::try_from(pool.members.len()).unwrap_or(u32::MAX));
    }
    outcome(rival, &pool, most)
}

/// The members of a fixed group that has as many hours, rounded up.
fn equal(like: Millis, horizon: Millis) -> u32 {
    u32::try_from((like.0 + horizon.0 - 1) / horizon.0).unwrap_or(u32::MAX).max(1)
}

fn shape(rival: Rival, conditions: &Conditions, members: u32, ours: bool) -> Shape {
    let Settings { maximum, minimum, slots_per_member, .. } = conditions.settings;
    let (minimum, maximum) = match rival {
        Rival::Fixed => (members, members),
        // With no member there is no CPU to track.
        Rival::TargetTracking => (minimum.max(1), maximum.max(1)),
        Rival::Ours | Rival::OursWithoutPending => (minimum, maximum),
    };
    Shape {
        minimum,
        maximum,
        slots: slots_per_member,
        in_service: conditions.boot.min(IN_SERVICE),
        boot: conditions.boot,
        drains: ours,
        protects: ours,
        stillborn: 0,
    }
}

/// From the launch until the group shows a member in service: its instance runs, and its system still boots.
const IN_SERVICE: Millis = Millis::secs(20);

fn outcome(rival: Rival, pool: &Pool, most: u32) -> Outcome {
    let fates = || pool.fates.iter().zip(&pool.trace().jobs);
    let wait = |(fate, job): (&Fate, &crate::trace::Job)| match fate {
        Fate::Done { since } => Some(*since - (BEGIN + job.at)),
        _ => None,
    };
    let mut waits: Vec<Millis> = fates().filter_map(wait).collect();
    waits.sort_unstable();
    let killed = pool.fates.iter().filter(|fate| **fate == Fate::Killed).count();
    let unfinished = pool.fates.len() - killed - waits.len();
    Outcome { rival, jobs: pool.fates.len(), killed, unfinished, waits, spent: pool.spent(), most }
}
