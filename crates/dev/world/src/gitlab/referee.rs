//! The referee: what happened to each job, and whether any promise about jobs was broken.

use std::collections::BTreeSet;

use runnerless_core::id::JobKey;
use runnerless_core::status::JobStatus;
use runnerless_core::time::Timestamp;

use super::GitLab;
use super::job::{Job, Status};
use super::runner::RunnerKind;
use super::step::FOREIGN;
use super::update::Voice;

/// One 201.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OfferRecord {
    /// The process that asked.
    pub process: u64,
    /// The runner that it asked as.
    pub runner: u64,
    /// When.
    pub at: Timestamp,
    /// When that process first said that the job runs.
    pub accepted_at: Option<Timestamp>,
    /// When GitLab took the offer back.
    pub withdrawn_at: Option<Timestamp>,
}

/// What ended a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// A report with the job's token.
    Reported(Voice),
    /// A user, while no runner was to be asked.
    Cancelled,
    /// No runner that was online may have it.
    Stuck,
    /// It waited for a day.
    WaitedTooLong,
    /// It gave no sign of life.
    Silent,
}

/// A job's end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// When.
    pub at: Timestamp,
    /// As what.
    pub status: JobStatus,
    /// By whom.
    pub how: How,
}

/// A job's history.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// Every 201 that carried it.
    pub offers: Vec<OfferRecord>,
    /// When a user cancelled it.
    pub cancelled_at: Option<Timestamp>,
    /// The processes that began its script.
    pub ran_by: BTreeSet<u64>,
    /// Its end.
    pub end: Option<End>,
}

impl History {
    pub(super) fn ends(&mut self, status: JobStatus, how: How, at: Timestamp) {
        self.end = Some(End { at, status, how });
    }

    /// The process that GitLab takes for the job's: it accepted, or it got the job where jobs run from the 201 on.
    #[must_use]
    pub fn owner(&self) -> Option<&OfferRecord> {
        self.offers.last().filter(|offer| offer.withdrawn_at.is_none())
    }
}

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The job.
    pub job: JobKey,
    /// When it can be said.
    pub at: Timestamp,
    /// What happened.
    pub what: String,
}

/// What the referee says at the end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judged {
    /// Jobs that one of our lanes could have served and that GitLab gave up on, that still wait, or that nobody ended.
    pub lost: Vec<Finding>,
    /// Jobs whose script began in more than one process.
    pub doubled: Vec<Finding>,
    /// Running jobs that somebody of ours ended beside a living process.
    pub killed: Vec<Finding>,
}

/// How a job's wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited {
    /// One of ours runs it.
    Ours,
    /// A foreign runner took it.
    Foreign,
    /// A user cancelled it.
    Cancelled,
    /// GitLab gave up on it.
    Dropped,
    /// It still waits.
    Not,
}

/// How long a job waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// The job.
    pub job: JobKey,
    /// Whether a runner of ours may have it.
    pub ours: bool,
    /// Since when it waited.
    pub since: Timestamp,
    /// Until when; `None` when it still does.
    pub until: Option<Timestamp>,
    /// How that ended.
    pub how: Waited,
    /// How many offers of it nobody accepted.
    pub in_vain: usize,
}

impl GitLab {
    /// A process of the world began a job's script.
    pub fn script_began(&mut self, job: u64, process: u64) {
        if let Some(job) = self.jobs.get_mut(&job) {
            job.history.ran_by.insert(process);
        }
    }

    /// A process of the world ended, by itself or by force: what others say about its job from now on is no crime.
    pub fn process_ended(&mut self, process: u64, now: Timestamp) {
        self.ended_processes.entry(process).or_insert(now);
    }

    /// The history of a job.
    #[must_use]
    pub fn history(&self, job: u64) -> Option<&History> {
        self.jobs.get(&job).map(|job| &job.history)
    }

    /// Every job that ever waited, and how long.
    pub fn waits(&self) -> impl Iterator<Item = Wait> {
        self.jobs.values().filter_map(|job| {
            let since = job.pending_at?;
            let end = job.history.end.as_ref();
            let until = job.started_at.or_else(|| end.map(|end| end.at));
            let how = match (job.started_at, job.history.owner(), end.map(|end| end.how)) {
                (Some(_), Some(offer), _) if offer.process == FOREIGN => Waited::Foreign,
                (Some(_), _, _) => Waited::Ours,
                (None, _, None) => Waited::Not,
                (None, _, Some(How::Cancelled)) => Waited::Cancelled,
                (None, _, Some(_)) => Waited::Dropped,
            };
            let in_vain = job.history.offers.iter().filter(|offer| offer.withdrawn_at.is_some()).count();
            Some(Wait { job: job.key, ours: self.is_ours(job), since, until, how, in_vain })
        })
    }

    /// How long each job waited that this runner is made for.
    pub fn waits_for(&self, runner: u64) -> impl Iterator<Item = Wait> {
        let made_for = move |wait: &Wait| self.jobs.get(&wait.job.job).is_some_and(|job| self.is_for(runner, job));
        self.waits().filter(made_for)
    }

    /// Whether a job that this runner is made for is not over.
    #[must_use]
    pub fn has_work_for(&self, runner: u64) -> bool {
        self.jobs.values().any(|job| !job.status.is_over() && self.is_for(runner, job))
    }

    /// When the last job ended that this runner is made for.
    #[must_use]
    pub fn last_end_for(&self, runner: u64) -> Option<Timestamp> {
        self.jobs.values().filter(|job| self.is_for(runner, job)).filter_map(|job| job.finished_at).max()
    }

    fn is_for(&self, runner: u64, job: &Job) -> bool {
        self.runners.get(&runner).is_some_and(|runner| runner.fits(job, self.is_protected(job.pipeline)))
    }

    /// Judges every job. At the end of a world in which everything was given its time, a job that is not over is lost.
    #[must_use]
    pub fn judge(&self, now: Timestamp) -> Judged {
        let mut judged = Judged::default();
        for job in self.jobs.values() {
            let find = |what: String, at: Timestamp| Finding { job: job.key, at, what };
            judged.lost.extend(self.why_lost(job).map(|what| find(what, now)));
            if job.history.ran_by.len() > 1 {
                judged.doubled.push(find(format!("run by the processes {:?}", job.history.ran_by), now));
            }
            judged.killed.extend(self.why_killed(job).map(|(what, at)| find(what, at)));
        }
        judged
    }

    /// Whether a lane of ours is made for the job, paused or not.
    fn is_ours(&self, job: &Job) -> bool {
        let protected = self.is_protected(job.pipeline);
        self.runners.values().any(|runner| runner.spec.kind == RunnerKind::Ours && runner.fits(job, protected))
    }

    fn why_lost(&self, job: &Job) -> Option<String> {
        if !self.is_ours(job) {
            return None;
        }
        match (job.status, job.history.end.as_ref().map(|end| end.how)) {
            (Status::Pending, _) => Some("still waits".to_owned()),
            (Status::Running | Status::Canceling, _) => Some("nobody ended it".to_owned()),
            (_, Some(How::Stuck)) => Some("GitLab dropped it: no runner was online".to_owned()),
            (_, Some(How::WaitedTooLong)) => Some("GitLab dropped it after a day".to_owned()),
            (_, Some(How::Silent)) => self.why_silent(job),
            (_, Some(How::Reported(_) | How::Cancelled) | None) => None,
        }
    }

    /// A job whose process ended between the 201 and the bind can be ended by GitLab alone; one whose process lived on was
    /// forgotten by it.
    fn why_silent(&self, job: &Job) -> Option<String> {
        let owner = job.history.owner()?;
        let died = self.ended_processes.get(&owner.process);
        match (died, owner.accepted_at) {
            (None, _) => Some(format!("process {} lives and let GitLab drop its job", owner.process)),
            (Some(_), Some(_)) => Some(format!("process {} accepted and died, and nobody told GitLab", owner.process)),
            (Some(_), None) => None,
        }
    }

    fn why_killed(&self, job: &Job) -> Option<(String, Timestamp)> {
        let end = job.history.end.as_ref()?;
        let owner = job.history.owner()?;
        let How::Reported(voice) = end.how else { return None };
        let dead = self.ended_processes.get(&owner.process).is_some_and(|at| *at <= end.at);
        if voice == Voice::Process(owner.process) || dead {
            return None;
        }
        Some((format!("ended by {voice:?} while process {} had it", owner.process), end.at))
    }
}
