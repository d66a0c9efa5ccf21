//! An Auto Scaling group of runner managers, in virtual time.
//!
//! What the group does follows AWS's documentation: desired capacity stays within its limits; it launches what is missing; it
//! ends what it has too much, and chooses among members that are not protected; a terminating hook holds a member until
//! its agent lets go. A runner manager takes a job as soon as it has a free slot; who of several gets it is drawn, because
//! runner managers ask GitLab whenever they like.

mod group;
mod member;
mod view;

use std::collections::VecDeque;

use fastrand::Rng;
use runnerless_core::time::{Millis, Timestamp};

pub use self::group::Refused;
pub use self::member::{Member, Running, State};
use crate::trace::Trace;

/// When a trace begins: any moment will do that is a whole minute.
pub const BEGIN: Timestamp = Timestamp(1_900_000_020_000);

/// How a group is made.
#[derive(Clone, Debug)]
pub struct Shape {
    /// The fewest members.
    pub minimum: u32,
    /// The most members.
    pub maximum: u32,
    /// The jobs that a member runs at once.
    pub slots: u32,
    /// From the launch until the group shows a member in service.
    pub in_service: Millis,
    /// From the launch until its runner manager takes jobs.
    pub boot: Millis,
    /// Whether a terminating hook and an agent let a member finish its jobs.
    pub drains: bool,
    /// Whether members are protected from scale-in.
    pub protects: bool,
    /// Of how many launches in a thousand nothing ever comes.
    pub stillborn: u32,
}

/// What becomes of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It has not come yet, or it waits.
    Waiting,
    /// It runs.
    Running {
        /// Since when.
        since: Timestamp,
    },
    /// It ran to its end.
    Done {
        /// When it began.
        since: Timestamp,
    },
    /// Its member was ended under it.
    Killed,
}

/// The group, its members and the jobs.
#[derive(Clone, Debug)]
pub struct Pool {
    /// How it is made. Whoever changes the limits changes the group by hand.
    pub shape: Shape,
    /// The desired capacity.
    pub desired: u32,
    /// The suspended processes of Auto Scaling.
    pub suspended: Vec<String>,
    /// Its members, those that leave included.
    pub members: Vec<Member>,
    /// What became of each job of the trace.
    pub fates: Vec<Fate>,
    now: Timestamp,
    trace: Trace,
    /// How many jobs of the trace have come.
    come: usize,
    waiting: VecDeque<usize>,
    launched: u64,
    spent: Millis,
    rng: Rng,
}

impl Pool {
    /// An empty group that is to have so many members, and jobs that have not come yet.
    #[must_use]
    pub fn new(shape: Shape, desired: u32, trace: Trace, seed: u64) -> Self {
        let mut pool = Self {
            desired: desired.clamp(shape.minimum, shape.maximum),
            suspended: Vec::new(),
            members: Vec::new(),
            fates: vec![Fate::Waiting; trace.jobs.len()],
            shape,
            now: BEGIN,
            trace,
            come: 0,
            waiting: VecDeque::new(),
            launched: 0,
            spent: Millis(0),
            rng: Rng::with_seed(seed),
        };
        pool.settle();
        pool
    }

    /// Now.
    #[must_use]
    pub const fn now(&self) -> Timestamp {
        self.now
    }

    /// The time that all members together were there, from launch to end.
    #[must_use]
    pub const fn spent(&self) -> Millis {
        self.spent
    }

    /// How many jobs wait.
    #[must_use]
    pub fn waiting(&self) -> u32 {
        u32::try_from(self.waiting.len()).unwrap_or(u32::MAX)
    }

    /// Whether every job of the trace has come and has ended.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.come == self.trace.jobs.len()
            && self.fates.iter().all(|fate| matches!(fate, Fate::Done { .. } | Fate::Killed))
    }

    /// The jobs of its trace.
    #[must_use]
    pub const fn trace(&self) -> &Trace {
        &self.trace
    }

    /// Lets time pass.
    pub fn advance(&mut self, to: Timestamp) {
        while self.now < to {
            let next = self.next_event().map_or(to, |at| at.min(to));
            let passed = next - self.now;
            for member in &mut self.members {
                member.accrue(passed);
                self.spent = Millis(self.spent.0 + passed.0);
            }
            self.now = next;
            self.settle();
        }
    }

    /// Everything that follows from what is: jobs end and come, members end and are launched, free slots are filled.
    pub(crate) fn settle(&mut self) {
        let now = self.now;
        for member in &mut self.members {
            for job in member.finish(now) {
                self.fates[job.job] = Fate::Done { since: job.since };
            }
        }
        while let Some(job) = self.trace.jobs.get(self.come).filter(|job| BEGIN + job.at <= now) {
            debug_assert!(job.length.0 > 0);
            self.waiting.push_back(self.come);
            self.come += 1;
        }
        self.members.retain(|member| !(member.state == State::Leaving && member.running.is_empty()));
        self.reconcile();
        self.hand_out();
    }

    /// When something happens next by itself.
    fn next_event(&self) -> Option<Timestamp> {
        let come = self.trace.jobs.get(self.come).map(|job| BEGIN + job.at);
        let members = self.members.iter().filter_map(|member| member.next_event(self.now));
        members.chain(come).min()
    }

    /// Hands waiting jobs to free slots, in their order.
    fn hand_out(&mut self) {
        while let Some(job) = self.waiting.front().copied() {
            let free: Vec<usize> = (0..self.members.len()).filter(|at| self.members[*at].free(self.now) > 0).collect();
            let Some(at) = (!free.is_empty()).then(|| free[self.rng.usize(..free.len())]) else { return };
            self.waiting.pop_front();
            let length = self.trace.jobs[job].length;
            self.members[at].take(job, self.now, length);
            self.fates[job] = Fate::Running { since: self.now };
        }
    }
}
