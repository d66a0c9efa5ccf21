//! What is said of a world when it is over.

use std::collections::BTreeMap;

use runnerless_aws::fake::FakeLedger;
use runnerless_core::id::{JobKey, LaunchId};
use runnerless_core::lane::{Engine, system_id};
use runnerless_core::limits;
use runnerless_core::live::{LIVE_PK, STACK};
use runnerless_core::time::{Millis, Timestamp};

use serde_json::Value;

use super::bound::unseen;
use super::{Check, PoolCounts, PoolLeft, Promise, RunnerCounts, Violation};
use crate::ec2::Cloud;
use crate::fault::Hits;
use crate::gitlab::{Finding, GitLab, Manager, RunnerKind};
use crate::metrics::Metrics;
use crate::setup::{BEGIN, Knowledge, LaneSetup, Setup};

/// What a world leaves.
pub(crate) struct Left<'a> {
    pub(crate) setup: &'a Setup,
    pub(crate) gitlab: &'a GitLab,
    pub(crate) cloud: &'a Cloud,
    /// What is left of the pool, where there is one.
    pub(crate) pool: Option<PoolLeft<'a>>,
    pub(crate) ledger: &'a FakeLedger,
    pub(crate) calls: &'a Calls,
    pub(crate) hits: &'a Hits,
    pub(crate) metrics: &'a Metrics,
    /// Why it was stopped.
    pub(crate) endless: Option<String>,
    pub(crate) now: Timestamp,
}

/// Calls by function and operation.
pub(crate) type Calls = BTreeMap<(&'static str, &'static str), u64>;

/// What is said of a world.
#[derive(Clone, Debug, Default)]
pub(crate) struct Verdict {
    /// Broken promises, the first first.
    pub(crate) violations: Vec<Violation>,
    /// The longest wait by its main cause.
    pub(crate) waits: BTreeMap<&'static str, Millis>,
    /// How many jobs were waited for that a bound was kept to.
    pub(crate) waited: u64,
    /// What launches with runners of their own met.
    pub(crate) runners: RunnerCounts,
    /// What the pool did.
    pub(crate) pool: PoolCounts,
}

/// Whether the system id is that of a launch's own runner.
fn is_of(system_id: &str, launch: &LaunchId) -> bool {
    let digits = (system_id.strip_prefix("r_"), launch.as_str().strip_prefix("l-"));
    matches!(digits, (Some(own), Some(launch)) if !own.is_empty() && launch.starts_with(own))
}

impl Check {
    /// Judges.
    pub(crate) fn judge(mut self, left: Left<'_>) -> Verdict {
        let Left { setup, gitlab, cloud, pool, ledger, calls, hits, metrics, endless, now } = left;
        let mut verdict = Verdict::default();
        if !self.violations.is_empty() {
            verdict.violations = self.violations;
            return verdict;
        }
        if let Some(endless) = endless {
            self.breaks(Promise::Endless, endless);
        }
        self.judge_jobs(setup, gitlab, now);
        // Outages were noted before everything else.
        self.met.sort_by_key(|met| met.at);
        self.judge_waits(setup, gitlab, now, &mut verdict);
        self.judge_launches(gitlab, now);
        self.judge_instances(cloud, now);
        self.judge_rows(setup);
        self.judge_counts(ledger);
        self.judge_words(setup, gitlab);
        self.judge_records(setup, gitlab, cloud);
        verdict.runners = self.judge_runners(setup, gitlab, metrics);
        self.judge_calls(gitlab, calls, hits);
        self.judge_alarms(setup, hits, metrics);
        if let Some(pool) = pool {
            verdict.pool = self.judge_pool(&pool, gitlab, now);
            self.judge_pool_alarms(pool.setup, hits, metrics);
        }
        verdict.violations = self.violations;
        verdict
    }

    fn judge_jobs(&mut self, setup: &Setup, gitlab: &GitLab, now: Timestamp) {
        let judged = gitlab.judge(now);
        let found = |findings: Vec<Finding>| findings.into_iter().map(|finding| (finding.job, finding));
        for (job, finding) in found(judged.lost) {
            // A project may become known by the very hook that tells of the loss.
            let end = gitlab.history(job.job).and_then(|history| history.end.as_ref());
            let lost_at = end.map_or(finding.at, |end| end.at);
            // Nor is a job lost that GitLab dropped before anybody could have found it.
            let found_in = unseen(setup.knowledge, 0);
            let was_promised = self.promised_since(setup, gitlab, job).is_some_and(|since| since + found_in < lost_at);
            if was_promised && !self.is_beyond_us(gitlab, job) {
                self.breaks(Promise::Lost, format!("job {job}: {}", finding.what));
            }
        }
        for (job, finding) in found(judged.doubled) {
            self.breaks(Promise::Doubled, format!("job {job}: {}", finding.what));
        }
        for (job, finding) in found(judged.killed) {
            if !self.was_hindered(gitlab, job, finding.at) {
                self.breaks(Promise::Killed, format!("job {job}: {}", finding.what));
            }
        }
    }

    /// Since when a runner is promised to the job: since ingest answered by 2xx; with an API token for jobs of known projects,
    /// and with sentinels for all that a Lambda lane may have. Of a lane that cannot ask nothing is promised.
    pub(super) fn promised_since(&self, setup: &Setup, gitlab: &GitLab, job: JobKey) -> Option<Timestamp> {
        let lane = self.rows.lane_of_job(job);
        let cannot_ask = |of: &&LaneSetup| of.cannot_ask && lane.as_ref().is_none_or(|lane| *lane == of.lane.id());
        if setup.lanes.iter().any(|lane| cannot_ask(&lane)) {
            return None;
        }
        let found = match setup.knowledge {
            Knowledge::Token => self.known.get(&job.project).copied(),
            Knowledge::Sentinels => has_sentinels(setup, gitlab, job).then_some(BEGIN),
            Knowledge::Hooks => None,
        };
        self.told.get(&job).copied().into_iter().chain(found).min()
    }

    /// A job whose process left nothing to report it with, or died before anybody but GitLab knew that it accepted.
    fn is_beyond_us(&self, gitlab: &GitLab, job: JobKey) -> bool {
        let owner = gitlab.history(job.job).and_then(|history| history.owner());
        let process = owner.and_then(|owner| u32::try_from(owner.process).ok());
        let Some(runner) = process.and_then(|process| self.runners.get(&process)) else { return false };
        let accepted = runner.launch.as_ref().and_then(|id| self.rows.launches.get(id)).is_some_and(|row| row.accepted);
        runner.leaves_no_token || !accepted
    }

    /// A process that stood still, or could not reach the ledger, for as long as its lease lasts counts as lost.
    fn was_hindered(&self, gitlab: &GitLab, job: JobKey, at: Timestamp) -> bool {
        let owner = gitlab.history(job.job).and_then(|history| history.owner());
        let process = owner.and_then(|owner| u32::try_from(owner.process).ok());
        let hindered = process.and_then(|process| self.runners.get(&process)).and_then(|runner| runner.hindered_at);
        hindered.is_some_and(|hindered| hindered + limits::HEARTBEAT_LEASE + Millis::minutes(4) > at)
    }

    fn judge_rows(&mut self, setup: &Setup) {
        let open: Vec<String> = self.rows.open(setup.knowledge).take(3).map(str::to_owned).collect();
        if !open.is_empty() {
            self.breaks(Promise::Leaked, format!("rows with something left to do: {open:?}"));
        }
        let live = self.rows.launches.iter().filter(|(_, row)| !row.is_over()).map(|(id, _)| id.clone());
        let live: Vec<_> = live.take(3).collect();
        if !live.is_empty() {
            self.breaks(Promise::Leaked, format!("launches that are not over: {live:?}"));
        }
    }

    /// Sweeps put the counts of live launches right.
    fn judge_counts(&mut self, ledger: &FakeLedger) {
        let counts = ledger.item(LIVE_PK).unwrap_or_default();
        let counted = counts.get(STACK).and_then(Value::as_i64).unwrap_or_default();
        if counted != 0 {
            self.breaks(Promise::Leaked, format!("{counted} launches are counted, and none is live"));
        }
    }

    /// A lane has one manager, as which its token is verified and its functions ask. An instance's is removed with it, unless
    /// the lane's token was replaced: the old one removes nothing any more.
    ///
    /// A runner that speaks to GitLab in the last seconds of an instance whose end was asked for has its record made anew:
    /// nobody could remove that, and GitLab forgets it by itself.
    fn judge_records(&mut self, setup: &Setup, gitlab: &GitLab, cloud: &Cloud) {
        for (id, runner) in gitlab.runners().filter(|(_, runner)| runner.spec.kind == RunnerKind::Ours) {
            let lane = setup.lanes.iter().map(|lane| &lane.lane).find(|lane| lane.tags == runner.spec.tags);
            let lambda = lane.is_some_and(|lane| lane.engine == Engine::Lambda);
            let own = lane.map(|lane| system_id(&lane.id()));
            let mut rotated = setup.rotations.iter().filter_map(|(_, lane)| setup.lanes.get(*lane));
            let rotated = !lambda && rotated.any(|lane| lane.lane.tags == runner.spec.tags);
            let spoke_at_its_end = |system_id: &str, manager: &Manager| {
                let mut ends = cloud.machines().filter(|(_, machine)| is_of(system_id, &machine.launch()));
                ends.any(|(_, machine)| machine.ended_at().is_some_and(|at| manager.contacted_at >= at))
            };
            let is_left = |(system_id, manager): (&String, &Manager)| {
                own.as_ref() != Some(system_id) && !spoke_at_its_end(system_id, manager)
            };
            if runner.managers.iter().any(is_left) && !rotated {
                let what = format!("runner {id} has the managers {:?}", runner.managers.keys());
                self.breaks(Promise::RecordsLeft, what);
            }
        }
    }

    /// Where nothing goes wrong, nobody is alarmed.
    fn judge_alarms(&mut self, setup: &Setup, hits: &Hits, metrics: &Metrics) {
        let blameless =
            hits.sum() == 0 && setup.uncovered_one_in == 0 && !setup.lanes.iter().any(|lane| lane.cannot_ask);
        for name in ALARMS.into_iter().filter(|name| blameless && metrics.contains_key(name)) {
            self.breaks(Promise::FalseAlarm, format!("{name} was counted, and nothing had gone wrong"));
        }
    }

    fn judge_calls(&mut self, gitlab: &GitLab, calls: &Calls, hits: &Hits) {
        let ours = |function: &str| matches!(function, "ingest" | "router" | "terminator");
        let made: u64 = calls.iter().filter(|((function, _), _)| ours(function)).map(|(_, calls)| calls).sum();
        let jobs = gitlab.jobs() as u64;
        let allowed = jobs * CALLS + hits.sum() * CALLS_OF_TROUBLE;
        if made > allowed {
            let what = format!("{made} calls for {jobs} jobs and {} troubles, {allowed} were allowed", hits.sum());
            self.breaks(Promise::Calls, what);
        }
    }
}

/// Whether a lane that sends sentinels may have the job.
fn has_sentinels(setup: &Setup, gitlab: &GitLab, job: JobKey) -> bool {
    let tags = gitlab.job(job).and_then(|job| job.tags).unwrap_or_default();
    let sends = |lane: &LaneSetup| lane.lane.engine == Engine::Lambda && lane.lane.can_serve(&tags);
    setup.lanes.iter().any(sends)
}

/// What needs an operator, or says that a launch was for nothing.
const ALARMS: [&str; 7] = [
    "Troubles",
    "RunnersUnaccounted",
    "RunnersRefused",
    "UnservedJobs",
    "LaunchesLost",
    "BusRefusals",
    "SweepFailures",
];

/// Most calls of ingest, router and terminator for one job: four hooks with a read and a write each, the announcements, a
/// route of nine calls and a settlement; and each hook may be the one that notes its project, by a read and a write.
const CALLS: u64 = 36;
/// Most calls that one trouble adds: a workflow's retries.
const CALLS_OF_TROUBLE: u64 = 30;
