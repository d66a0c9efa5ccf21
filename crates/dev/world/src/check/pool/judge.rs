//! What is said of a pool when its world is over: its jobs, how long they waited, and what is left of it.

use runnerless_core::id::JobKey;
use runnerless_core::pool::{Group, Phase, REBALANCE};
use runnerless_core::time::{Millis, Timestamp};

use super::super::{Check, Met, Promise, Whom};
use crate::fault::Hits;
use crate::gitlab::{GitLab, How, Wait, Waited};
use crate::metrics::Metrics;
use crate::pool::{Pool, PoolSetup};

/// A hook, an ask, an acceptance.
const UNTROUBLED: Millis = Millis::secs(60);
/// The schedule's minute, a run's own length, and what the group takes to follow.
const RUN: Millis = Millis::secs(60 + 25 + 15);
/// What one trouble may cost a job that waits: what lasts does so for nine minutes, and a member that never comes is awaited
/// for its warm-up.
const TROUBLE: Millis = Millis::minutes(15);
/// Troubles of this time before the wait may cost it still.
const BEFORE: Millis = Millis::minutes(30);

/// What pools did, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolCounts {
    /// Worlds with one.
    pub pools: u64,
    /// Their jobs.
    pub jobs: u64,
    /// Members by which they grew.
    pub grown: u64,
    /// Members that the scaler let go.
    pub let_go: u64,
    /// Of those, the ones that got a job in that very moment.
    pub raced: u64,
    /// Members that somebody else named, or the group did, while they had jobs.
    pub named_busy: u64,
    /// Jobs that were lost with their hardware.
    pub lost: u64,
    /// Waits that were judged.
    pub waited: u64,
    /// The longest of them without trouble.
    pub longest: Millis,
}

impl PoolCounts {
    /// With another world's.
    pub(crate) fn add(&mut self, other: &Self) {
        for (mine, others) in [
            (&mut self.pools, other.pools),
            (&mut self.jobs, other.jobs),
            (&mut self.grown, other.grown),
            (&mut self.let_go, other.let_go),
            (&mut self.raced, other.raced),
            (&mut self.named_busy, other.named_busy),
            (&mut self.lost, other.lost),
            (&mut self.waited, other.waited),
        ] {
            *mine += others;
        }
        self.longest = self.longest.max(other.longest);
    }
}

/// What a world leaves of its pool.
pub(crate) struct Left<'a> {
    pub(crate) setup: &'a PoolSetup,
    pub(crate) pool: &'a Pool,
    pub(crate) group: &'a Group,
}

impl Check {
    /// Judges the pool; troubles are in the order of their times.
    pub(in super::super) fn judge_pool(&mut self, left: &Left<'_>, gitlab: &GitLab, now: Timestamp) -> PoolCounts {
        let waits: Vec<Wait> = gitlab.waits_for(left.pool.runner).collect();
        self.pool.counts.jobs = waits.len() as u64;
        for wait in &waits {
            self.judge_pool_job(wait.job, gitlab);
            self.judge_pool_wait(wait, &waits, left.setup, now);
        }
        self.judge_size(left);
        self.pool.counts
    }

    /// Each job ended, and by its runner, its user, or with what is outside of the promise.
    fn judge_pool_job(&mut self, job: JobKey, gitlab: &GitLab) {
        let end = gitlab.history(job.job).and_then(|history| history.end.as_ref());
        let owner = gitlab.history(job.job).and_then(|history| history.owner());
        let process = owner.and_then(|owner| u32::try_from(owner.process).ok());
        // A job whose 201 was lost is nobody's; one whose process ended beside it is outside of the promise.
        let nobody_has_it = owner.is_none_or(|owner| owner.accepted_at.is_none());
        let was_lost = nobody_has_it || process.is_some_and(|process| self.pool.lost.contains(&process));
        let what = match end.map(|end| end.how) {
            Some(How::Reported(_) | How::Cancelled) => return,
            Some(How::Silent) if was_lost => return,
            Some(How::Stuck | How::WaitedTooLong) if self.pool.is_full_at(end.map_or(Timestamp(0), |end| end.at)) => {
                return;
            }
            other => other,
        };
        self.breaks(Promise::Lost, format!("job {job} of the pool, of process {process:?}: {what:?}"));
    }

    /// A job begins when a slot is free. Where none is, the next run makes the pool larger, as long as it may be.
    fn judge_pool_wait(&mut self, wait: &Wait, all: &[Wait], setup: &PoolSetup, now: Timestamp) {
        let (since, until) = (wait.since, wait.until.unwrap_or(now));
        if wait.how == Waited::Cancelled {
            return;
        }
        let beside =
            all.iter().filter(|other| other.since <= until && other.until.is_none_or(|at| at >= since)).count();
        let beside = i64::try_from(beside).unwrap_or(i64::MAX);
        let settings = &setup.settings;
        let a_step = i64::from(settings.slots_per_member) * i64::from(settings.grow_step);
        // Who cannot ask whether jobs wait sees them one by one, by its headroom.
        let rounds = 1 + if setup.counts_waiting { (beside + a_step - 1) / a_step } else { beside };
        let troubles = self.troubles_of_pool(since - BEFORE, until);
        let round = RUN.0 + setup.boot.end;
        let limit = Millis(UNTROUBLED.0 + rounds * round + troubles * TROUBLE.0);
        let waited = Millis((until - since).0 - self.pool.full_between(since, until).0);
        self.pool.counts.waited += 1;
        if troubles == 0 {
            self.pool.counts.longest = self.pool.counts.longest.max(waited);
        }
        if waited > limit {
            let what = format!(
                "job {} of the pool waited {} s while it could have grown, {} s were allowed with {troubles} troubles; it \
                 ended as {:?}",
                wait.job,
                waited.0 / 1000,
                limit.0 / 1000,
                wait.how
            );
            self.breaks(Promise::Waited, what);
        }
    }

    fn troubles_of_pool(&self, from: Timestamp, until: Timestamp) -> i64 {
        let hits = |met: &&Met| met.at >= from && met.at <= until && matches!(met.whom, Whom::Pool | Whom::Everybody);
        i64::try_from(self.met.iter().filter(hits).count()).unwrap_or(i64::MAX)
    }

    /// Nobody is there for nothing, and the group ends nobody by itself.
    fn judge_size(&mut self, left: &Left<'_>) {
        let (serving, may) = (left.pool.serving(left.group), left.setup.idle_members(left.group));
        if serving > may && left.setup.lets_go() {
            let what = format!("{serving} members serve nobody, and {may} may be there");
            self.breaks(Promise::PoolLarge, what);
        }
        let in_service = left.group.members.iter().filter(|member| member.phase == Phase::InService);
        let bare: Vec<&str> =
            in_service.filter(|member| !member.protected).map(|member| member.id.as_str()).take(3).collect();
        if !left.group.suspends(REBALANCE) || !bare.is_empty() {
            let what = format!("the group may end members by itself: {:?}, {bare:?}", left.group.suspended);
            self.breaks(Promise::PoolLoose, what);
        }
    }

    /// A pool in a world in which nothing went wrong has nothing to tell its operator, if it was set up as it should be.
    pub(in super::super) fn judge_pool_alarms(&mut self, setup: &PoolSetup, hits: &Hits, metrics: &Metrics) {
        let blameless = hits.sum() == 0 && setup.lets_go() && setup.group.protects_new_members;
        let told = metrics.get("PoolTroubles").copied().unwrap_or(0);
        if blameless && told > 0 {
            self.breaks(Promise::FalseAlarm, format!("the scaler told of {told} troubles, and nothing had gone wrong"));
        }
    }
}

impl super::PoolCheck {
    fn is_full_at(&self, at: Timestamp) -> bool {
        self.room.iter().rev().find(|(from, _)| *from <= at).is_some_and(|(_, is_full)| *is_full)
    }

    /// For how long of this time the pool might have no more members.
    fn full_between(&self, since: Timestamp, until: Timestamp) -> Millis {
        let ends = self.room.iter().skip(1).map(|(at, _)| *at).chain([until]);
        let spans = self.room.iter().zip(ends).filter(|((_, is_full), _)| *is_full);
        let within = spans.map(|((from, _), to)| (to.min(until) - (*from).max(since)).0.max(0));
        Millis(within.sum())
    }
}
