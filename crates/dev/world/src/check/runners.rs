//! What must hold of runners that are made for one launch alone: whose they are, how often GitLab is asked for them, and that
//! none is left of which nobody was told.
//!
//! GitLab is asked once for a launch, after the launch's row says so. Its runner is the launch's process's alone, and goes with
//! the launch. Left may be the runner whose making was not answered, or answered to a process that died before it could write
//! that down; one of which the ledger did not say whether it is written down, or that could not be written down and not deleted
//! either; and one whose token is sealed under a token of its
//! lane that was replaced since. Each of them is told.

use std::collections::{BTreeMap, BTreeSet};

use runnerless_core::change::Plan;
use runnerless_core::id::{LaneId, LaunchId};
use runnerless_core::own_runner::own_runner_name;

use super::{Check, Promise};
use crate::gitlab::{GitLab, Runner, RunnerKind};
use crate::metrics::Metrics;
use crate::setup::{LaneSetup, Setup};

/// What launches with runners of their own met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunnerCounts {
    /// Worlds with such launches.
    pub worlds: u64,
    /// How often GitLab was asked for a runner.
    pub asked: u64,
    /// How often it told which it made.
    pub told: u64,
    /// Runners that are left, as they may be.
    pub left: u64,
}

impl RunnerCounts {
    /// Another world's.
    pub(crate) fn add(&mut self, other: &Self) {
        self.worlds += other.worlds;
        self.asked += other.asked;
        self.told += other.told;
        self.left += other.left;
    }
}

/// What is kept for these rules.
#[derive(Debug, Default)]
pub(super) struct OwnRunners {
    /// The lanes whose launches have runners of their own.
    lanes: BTreeSet<LaneId>,
    /// The launches for which GitLab was asked.
    asked: BTreeMap<LaunchId, Asked>,
    /// Runners whose writing down was not answered.
    unwritten: BTreeSet<u64>,
    /// Runners whose deletion was not answered.
    stayed: BTreeSet<u64>,
    /// Processes that died.
    dead: BTreeSet<u32>,
}

/// GitLab was asked for a launch's runner.
#[derive(Clone, Copy, Debug)]
struct Asked {
    by: u32,
    is_told: bool,
}

/// The launch that a runner of this name is for.
pub(crate) fn launch_named(runner: &str) -> Option<LaunchId> {
    let launch = LaunchId::new(runner.rsplit(' ').next()?);
    (own_runner_name(&launch) == runner).then_some(launch)
}

impl OwnRunners {
    pub(super) fn new(setup: &Setup) -> Self {
        let own = setup.lanes.iter().filter(|lane| lane.has_own_runners());
        Self { lanes: own.map(|lane| lane.lane.id()).collect(), ..Self::default() }
    }
}

impl Check {
    /// A process died.
    pub(crate) fn died(&mut self, process: u32) {
        self.own.dead.insert(process);
    }

    /// A process asks GitLab for a launch's runner.
    pub(crate) fn asks_for_a_runner(&mut self, launch: &LaunchId, by: u32) {
        let row = self.rows.launches.get(launch).and_then(|row| row.own_runner);
        if row.is_none_or(|own| own.id.is_some()) {
            let what = format!("GitLab is asked for a runner of launch {launch}, and its row says {row:?}");
            self.breaks(Promise::Row, what);
        }
        if self.own.asked.insert(launch.clone(), Asked { by, is_told: false }).is_some() {
            self.breaks(Promise::RunnersLeft, format!("GitLab is asked twice for a runner of launch {launch}"));
        }
    }

    /// GitLab's answer came, and names a launch's runner.
    pub(crate) fn runner_told(&mut self, launch: &LaunchId) {
        if let Some(asked) = self.own.asked.get_mut(launch) {
            asked.is_told = true;
        }
    }

    /// A write was not answered.
    pub(crate) fn unanswered(&mut self, plan: &Plan) {
        let runners = plan.changes.iter().filter_map(|change| change.pk.strip_prefix("runner#")?.parse::<u64>().ok());
        self.own.unwritten.extend(runners);
    }

    /// A process asks for jobs as this runner: as its launch's own, if its launch has one, and as no other launch's.
    pub(crate) fn asks_as(&mut self, process: u32, runner: &Runner) {
        let launch = self.runners.get(&process).and_then(|runner| runner.launch.clone());
        let of_lane = launch.as_ref().and_then(|launch| self.rows.lane_of(launch));
        let has_own = of_lane.is_some_and(|lane| self.own.lanes.contains(&lane));
        let own = (runner.spec.kind == RunnerKind::Launchs).then(|| launch_named(&runner.description)).flatten();
        let fits = if has_own { own == launch } else { own.is_none() };
        if !fits {
            let what = format!("process {process} of launch {launch:?} asks as the runner {:?}", runner.description);
            self.breaks(Promise::RunnerShared, what);
        }
    }

    /// Somebody of ours has a runner deleted: one that its launch's row does not name, or whose launch is over.
    pub(crate) fn is_to_go(&mut self, id: u64, runner: &Runner) {
        if runner.spec.kind != RunnerKind::Launchs {
            return self.breaks(Promise::Touched, format!("runner {id} is no launch's, and was to be deleted"));
        }
        let Some(launch) = launch_named(&runner.description) else { return };
        let Some(row) = self.rows.launches.get(&launch) else { return };
        let names_it = row.own_runner.is_some_and(|own| own.id == Some(id));
        if names_it && !matches!(row.state.as_str(), "closing" | "closed") {
            let what = format!("runner {id} was to be deleted while its launch {launch} was {}", row.state);
            self.breaks(Promise::Killed, what);
        }
    }

    /// GitLab did not say that it deleted a runner.
    pub(crate) fn did_not_go(&mut self, id: u64) {
        self.own.stayed.insert(id);
    }

    /// What is left of the launches' runners when all is quiet.
    pub(super) fn judge_runners(&mut self, setup: &Setup, gitlab: &GitLab, metrics: &Metrics) -> RunnerCounts {
        let left: Vec<(u64, LaunchId)> = gitlab
            .runners()
            .filter(|(_, runner)| runner.spec.kind == RunnerKind::Launchs)
            .filter_map(|(id, runner)| Some((id, launch_named(&runner.description)?)))
            .collect();
        for (id, launch) in &left {
            if !self.may_stay(setup, *id, launch) {
                let what = format!("runner {id} is left of launch {launch}: {:?}", self.rows.launches.get(launch));
                self.breaks(Promise::RunnersLeft, what);
            }
        }
        let unknown = |row: &super::rows::Launch| row.own_runner.is_some_and(|own| own.id.is_none());
        let unknown = self.rows.launches.iter().filter(|(_, row)| unknown(row)).map(|(launch, _)| launch);
        let untold: BTreeSet<&LaunchId> = left.iter().map(|(_, launch)| launch).chain(unknown).collect();
        let told = metrics.get("RunnersUnaccounted").copied().unwrap_or_default();
        if told < untold.len() as u64 {
            let what = format!("{} launches may have left a runner, and {told} were told", untold.len());
            self.breaks(Promise::RunnersLeft, what);
        }
        RunnerCounts {
            worlds: u64::from(!self.own.lanes.is_empty()),
            asked: self.own.asked.len() as u64,
            told: self.own.asked.values().filter(|asked| asked.is_told).count() as u64,
            left: left.len() as u64,
        }
    }

    /// Whether this runner is one of those that nobody can delete.
    fn may_stay(&self, setup: &Setup, id: u64, launch: &LaunchId) -> bool {
        let Some(row) = self.rows.launches.get(launch) else { return false };
        if row.own_runner.is_some_and(|own| own.id == Some(id)) {
            let mut replaced = setup.rotations.iter().filter_map(|(_, lane)| setup.lanes.get(*lane));
            return replaced.any(|lane: &LaneSetup| lane.lane.id().as_str() == row.lane);
        }
        let OwnRunners { asked, stayed, unwritten, dead, .. } = &self.own;
        let is_lost = asked.get(launch).is_some_and(|asked| !asked.is_told || dead.contains(&asked.by));
        is_lost || stayed.contains(&id) || unwritten.contains(&id)
    }
}
