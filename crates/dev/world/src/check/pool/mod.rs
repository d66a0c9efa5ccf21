//! What must hold of a pool: who may be let go, by whom, how often, and that nothing fails in silence.
//!
//! A run may act once it has stored what it saw. Whom it lets go has said in as many runs as the settings ask for, whole, with a
//! time of now and one after the other, that it takes jobs and has none, and has had none since the first of these; a job that
//! came after the last one is finished by its member. Desired capacity is not lowered below what the run's second look showed.

mod judge;
mod truth;

use std::collections::BTreeMap;

use runnerless_core::pool::{Group, Settings};
use runnerless_core::time::{Millis, Timestamp};
use runnerless_scaler::Report;

use super::{Check, Promise};
use crate::pool::{Ended, PoolSetup, Told};
use truth::Truth;

pub(crate) use judge::Left as PoolLeft;
pub use judge::PoolCounts;

/// Who has a member go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    /// The scaler.
    Us,
    /// The group, which has more members than it wants.
    Group,
    /// An operator, or AWS.
    Another,
}

/// How a run of the scaler ended.
#[derive(Debug)]
pub(crate) enum Ran {
    /// With a report; and whether it had time for all that it wanted.
    Reported(Report, bool),
    /// With an error of this name.
    Failed(&'static str),
}

/// One run of the scaler.
#[derive(Debug, Default)]
struct Run {
    dry: bool,
    /// What members told it.
    told: BTreeMap<String, Told>,
    /// Why it has no ground to let each of these go, when it had stored what it saw; `None` where it has.
    grounds: BTreeMap<String, Option<String>>,
    /// When it had stored what it saw.
    wrote_at: Option<Timestamp>,
    /// Desired capacity and members as its first look showed them.
    shown: Option<(u32, u32)>,
    /// Of when that was: Auto Scaling may be behind.
    shown_at: Option<Timestamp>,
    /// Of when its last look is that it made after it had written.
    looked_at: Option<Timestamp>,
    /// Calls that failed when it acted.
    failures: u64,
    let_go: Vec<String>,
}

/// What is kept of a pool.
#[derive(Debug, Default)]
pub(super) struct PoolCheck {
    setup: Option<PoolSetup>,
    members: BTreeMap<String, Truth>,
    runs: BTreeMap<u32, Run>,
    /// From when on the pool may have no more members, and from when on it may.
    room: Vec<(Timestamp, bool)>,
    /// When desired capacity was changed, by which run's process; 0 is somebody's hand.
    changes: Vec<(Timestamp, u32)>,
    /// Runner managers that ended with their jobs, which is outside of the promise.
    lost: Vec<u32>,
    counts: PoolCounts,
}

impl PoolCheck {
    pub(super) fn new(setup: Option<&PoolSetup>) -> Self {
        let counts = PoolCounts { pools: u64::from(setup.is_some()), ..PoolCounts::default() };
        Self { setup: setup.cloned(), counts, ..Self::default() }
    }

    fn settings(&self) -> Settings {
        self.setup.as_ref().map(|setup| setup.settings.clone()).unwrap_or_default()
    }

    /// Whether somebody else than this run changed desired capacity since then.
    fn changed_by_others(&self, process: u32, since: Timestamp) -> bool {
        self.changes.iter().rev().take_while(|(at, _)| *at >= since).any(|(_, who)| *who != process)
    }
}

impl Check {
    /// A run of the scaler begins.
    pub(crate) fn run_begins(&mut self, process: u32, dry: bool) {
        self.pool.runs.insert(process, Run { dry, ..Run::default() });
    }

    /// A run looked at the group, and was shown it as it was then.
    pub(crate) fn looked(&mut self, process: u32, at: Timestamp, group: &Group) {
        let Some(run) = self.pool.runs.get_mut(&process) else { return };
        let counted = group.members.iter().filter(|member| member.phase.counts()).count();
        run.shown.get_or_insert((group.desired, u32::try_from(counted).unwrap_or(u32::MAX)));
        run.shown_at.get_or_insert(at);
        run.looked_at = run.wrote_at.map(|_| at);
    }

    /// A member told something to a run.
    pub(crate) fn told(&mut self, process: u32, id: &str, told: Told) {
        if let Some(run) = self.pool.runs.get_mut(&process) {
            run.told.insert(id.to_owned(), told);
        }
    }

    /// The pool's row was written: what this run saw is what the next ones know.
    pub(super) fn pool_row_written(&mut self, process: u32, now: Timestamp) {
        let readings = self.pool.settings().idle_scrapes;
        let PoolCheck { runs, members, .. } = &mut self.pool;
        let Some(run) = runs.get_mut(&process) else { return };
        if run.dry {
            let what = format!("process {process} was only to decide, and stored what it saw");
            return self.breaks(Promise::PoolOutOfTurn, what);
        }
        run.wrote_at = Some(now);
        for id in run.told.keys() {
            members.entry(id.clone()).or_default();
        }
        // One that told nothing at all has no reading: what was seen before is not in a row with what comes.
        for (id, truth) in members {
            let told = run.told.get(id).copied();
            truth.remembers(told, now);
            run.grounds.insert(id.clone(), truth.why_not_idle(told, readings, now));
        }
    }

    /// A run is about to change the group.
    pub(crate) fn acts(&mut self, process: u32, operation: &'static str) {
        let Some(run) = self.pool.runs.get(&process) else { return };
        if run.dry || run.wrote_at.is_none() {
            let what = format!("process {process} calls {operation}, and has not stored what it saw");
            self.breaks(Promise::PoolOutOfTurn, what);
        }
    }

    /// A call of a run that acts failed.
    pub(crate) fn act_failed(&mut self, process: u32) {
        if let Some(run) = self.pool.runs.get_mut(&process).filter(|run| run.wrote_at.is_some()) {
            run.failures += 1;
        }
    }

    /// A run has set the desired capacity.
    pub(crate) fn desired_set(&mut self, process: u32, (before, to): (u32, u32), now: Timestamp) {
        let settings = self.pool.settings();
        let Some(run) = self.pool.runs.get(&process) else { return };
        self.pool.counts.grown += u64::from(to.saturating_sub(before));
        let base = run.shown.map_or(0, |(desired, counted)| desired.max(counted));
        let since = run.looked_at.or(run.wrote_at).unwrap_or(now);
        if to > settings.maximum {
            let what = format!("the desired capacity is {to}, and the maximum {}", settings.maximum);
            self.breaks(Promise::PoolBounds, what);
        } else if to > base.saturating_add(settings.grow_step) {
            let what = format!("from {base} to {to}, and a step is {}", settings.grow_step);
            self.breaks(Promise::PoolBounds, what);
        } else if to < before && !self.pool.changed_by_others(process, since) {
            self.breaks(Promise::PoolLowered, format!("the desired capacity was {before}, and is set to {to}"));
        }
        self.pool.changes.push((now, process));
    }

    /// Auto Scaling took a run's wish that this member goes, which left it at this desired capacity.
    pub(crate) fn let_go(&mut self, process: u32, id: &str, (desired, lowered): (u32, bool), now: Timestamp) {
        let settings = self.pool.settings();
        let lets_go = self.pool.setup.as_ref().is_some_and(PoolSetup::lets_go);
        self.pool.counts.let_go += 1;
        let Some(run) = self.pool.runs.get_mut(&process) else { return };
        let again = run.let_go.iter().any(|other| other == id);
        run.let_go.push(id.to_owned());
        let many = run.let_go.len() > usize::try_from(settings.shrink_step).unwrap_or(usize::MAX);
        let since = run.shown_at.unwrap_or(now).min(run.wrote_at.unwrap_or(now) - RUN);
        let why_not = run.grounds.get(id).cloned().unwrap_or_else(|| Some("it told nothing".to_owned()));
        if let Some(why) = why_not {
            self.breaks(Promise::PoolEnded, format!("{id} was let go: {why}"));
        } else if !lets_go {
            self.breaks(Promise::PoolEnded, format!("{id} was let go, and its hook is too short for the longest job"));
        } else if again || many {
            self.breaks(Promise::PoolBounds, format!("{id} was let go by process {process}, again or one too many"));
        } else if lowered && desired < settings.minimum && !self.pool.changed_by_others(process, since) {
            let what = format!("{id} was let go, which left {desired}, and the minimum is {}", settings.minimum);
            self.breaks(Promise::PoolBounds, what);
        }
        self.pool.changes.push((now, process));
    }

    /// A member is to go, with so many jobs.
    pub(crate) fn member_named(&mut self, id: &str, by: By, jobs: u32, now: Timestamp) {
        self.pool.members.entry(id.to_owned()).or_default().is_named(now);
        match by {
            By::Us => self.pool.counts.raced += u64::from(jobs > 0),
            By::Group | By::Another => self.pool.counts.named_busy += u64::from(jobs > 0),
        }
    }

    /// Somebody changed the group by hand.
    pub(crate) fn changed_by_hand(&mut self, now: Timestamp) {
        self.pool.changes.push((now, 0));
    }

    /// A member's runner manager, which runs since then, has a job more.
    pub(crate) fn job_began_on(&mut self, id: &str, runs_since: Timestamp, now: Timestamp) {
        let truth = self.pool.members.entry(id.to_owned()).or_default();
        truth.begins(now);
        let lingers = truth.named_at().is_some_and(|at| now > at.max(runs_since) + TOLD);
        if lingers {
            self.breaks(Promise::PoolLingers, format!("{id} was to leave long ago, and takes another job"));
        }
    }

    /// A job of it is over.
    pub(crate) fn job_ended_on(&mut self, id: &str, now: Timestamp) {
        self.pool.members.entry(id.to_owned()).or_default().ends(now);
    }

    /// Its runner manager counts the jobs that it took from the beginning again.
    pub(crate) fn counts_anew(&mut self, id: &str) {
        self.pool.members.entry(id.to_owned()).or_default().counts_anew();
    }

    /// A runner manager ended by itself, with so many jobs.
    pub(crate) fn manager_crashed(&mut self, id: &str, process: u32, now: Timestamp) {
        let truth = self.pool.members.entry(id.to_owned()).or_default();
        truth.crashes(now);
        self.pool.lost.push(process);
    }

    /// A member's instance is gone, with the jobs of this process.
    pub(crate) fn member_gone(&mut self, id: &str, how: Ended, (process, jobs): (Option<u32>, u32)) {
        let Some(process) = process else { return };
        match how {
            Ended::Lost => {
                self.pool.counts.lost += u64::from(jobs);
                self.pool.lost.push(process);
            }
            Ended::Answered | Ended::Silent if jobs > 0 => {
                let what = format!("{id} was ended ({how:?}) while its runner manager had {jobs} jobs");
                self.breaks(Promise::PoolEnded, what);
            }
            Ended::Answered | Ended::Silent => {}
        }
    }

    /// Whether the pool may have more members, from now on.
    pub(crate) fn pool_is_full(&mut self, is_full: bool, now: Timestamp) {
        if self.pool.room.last().is_none_or(|(_, before)| *before != is_full) {
            self.pool.room.push((now, is_full));
        }
    }

    /// A run of the scaler came to its end: each call that failed is told, by its name, and there is a reason for all that it did.
    pub(crate) fn run_ended(&mut self, process: u32, ran: &Ran) {
        let Some(run) = self.pool.runs.get(&process) else { return };
        let failures = run.failures;
        let what = match ran {
            Ran::Reported(report, _) if report.actions.is_empty() => "it did nothing, and does not say why".to_owned(),
            Ran::Reported(report, in_time) => {
                let named = report.actions.iter().filter(|item| item.result == "failed" && item.why.is_some()).count();
                let counted = report.counts.failed;
                if *in_time && counted != failures || u64::try_from(named).unwrap_or(u64::MAX) != counted {
                    format!("{failures} calls failed, {counted} are counted and {named} named")
                } else if failures > 0 && report.counts.done == 0 && *in_time {
                    "all that it tried failed, and it calls that a success".to_owned()
                } else {
                    return;
                }
            }
            Ran::Failed("") => "it fails without a name".to_owned(),
            Ran::Failed(_) => return,
        };
        self.breaks(Promise::PoolSilent, format!("process {process}: {what}"));
    }
}

/// From the wish that a member goes, or its runner manager's start if that is later, until it takes no more jobs: what stands
/// still does so for two and a half minutes, and is started again, and a metadata service may not tell at first.
const TOLD: Millis = Millis::minutes(6);
/// A run loads for so long at most.
const RUN: Millis = Millis::secs(60);
