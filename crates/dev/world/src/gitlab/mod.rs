//! GitLab, as far as runners, hooks and the jobs API can tell: synchronous, deterministic, in virtual time.
//!
//! It keeps GitLab's rules to the letter and forgives nothing: a job is offered to one runner, hidden for two minutes and
//! offered again; a report for a job that is only offered is refused; a job that nobody may have is dropped by GitLab's own
//! clock. It knows no faults: losing, doubling and delaying what passes between it and us is the world's business. Beside
//! the rules it keeps each job's history, which the referee reads: GitLab itself does not know which process speaks to it.

mod cancel;
mod hook;
mod job;
mod load;
mod offer;
mod payload;
mod pipeline;
mod project;
mod referee;
mod rest;
mod rules;
mod runner;
mod step;
#[cfg(test)]
mod tests;
mod timers;
mod transition;
mod update;

use std::collections::{BTreeMap, BTreeSet};

use fastrand::Rng;
use runnerless_core::time::Timestamp;

use job::Job;
use pipeline::Pipeline;
use project::Project;
use timers::Timer;

pub use hook::{AlertStatus, Hook, HookState};
pub use load::{Load, LoadLane};
pub use offer::{Ask, Asked, Offer};
pub use pipeline::{CancelAt, JobSpec, Moment, PipelineSpec, Work};
pub use referee::{End, Finding, History, How, Judged, OfferRecord, Wait, Waited};
pub use rest::Page;
pub use rules::GitLabRules;
pub use runner::{Manager, Runner, RunnerKind, RunnerSpec, Verified};
pub use step::Step;
pub use update::{Report, Updated, Voice};

/// One GitLab.
#[derive(Clone, Debug)]
pub struct GitLab {
    rng: Rng,
    rules: GitLabRules,
    projects: BTreeMap<u64, Project>,
    runners: BTreeMap<u64, Runner>,
    pipelines: BTreeMap<u64, Pipeline>,
    jobs: BTreeMap<u64, Job>,
    /// Jobs that wait and are offered to nobody; GitLab serves the oldest first.
    queue: BTreeSet<u64>,
    timers: BTreeSet<(Timestamp, Timer)>,
    hooks: Vec<Hook>,
    /// How many jobs are not over.
    open: usize,
    /// When processes of the world ended.
    ended_processes: BTreeMap<u64, Timestamp>,
    next: Ids,
}

/// The next free numbers.
#[derive(Clone, Copy, Debug)]
struct Ids {
    project: u64,
    runner: u64,
    pipeline: u64,
    job: u64,
    message: u64,
}

impl GitLab {
    /// An empty GitLab.
    #[must_use]
    pub fn new(mut rng: Rng, rules: GitLabRules) -> Self {
        // Ids of another installation each time, job ids beyond 2^31 as often as not.
        let next = Ids {
            project: rng.u64(1..100_000),
            runner: rng.u64(1..100_000),
            pipeline: rng.u64(1..1_000_000_000),
            job: rng.u64(1..8_000_000_000),
            message: 1,
        };
        Self {
            rng,
            rules,
            projects: BTreeMap::new(),
            runners: BTreeMap::new(),
            pipelines: BTreeMap::new(),
            jobs: BTreeMap::new(),
            queue: BTreeSet::new(),
            timers: BTreeSet::new(),
            hooks: Vec::new(),
            open: 0,
            ended_processes: BTreeMap::new(),
            next,
        }
    }

    /// The rules.
    #[must_use]
    pub const fn rules(&self) -> &GitLabRules {
        &self.rules
    }

    /// How many jobs there ever were.
    #[must_use]
    pub fn jobs(&self) -> usize {
        self.jobs.len()
    }

    /// Whether every job is over: nothing more happens here by itself.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.open == 0
    }
}

/// The number, and one more for the next.
fn draw(next: &mut u64) -> u64 {
    let id = *next;
    *next += 1;
    id
}
