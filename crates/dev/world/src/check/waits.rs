//! Waits and launches of each job against their bounds.

use runnerless_core::id::JobKey;
use runnerless_core::limits;
use runnerless_core::time::{Millis, Timestamp};

use super::bound::{Costs, allowance, unseen};
use super::judge::Verdict;
use super::{Check, Promise, Whom};
use crate::fault::Fault;
use crate::gitlab::{GitLab, Wait, Waited};
use crate::setup::Setup;

/// What a job may wait longer because others' runners take jobs of its name, and a sweep after that.
const LEARNED: Millis = Millis(limits::LEARNED_DELAY.0 + 90_000);

impl Check {
    pub(super) fn judge_waits(&mut self, setup: &Setup, gitlab: &GitLab, now: Timestamp, verdict: &mut Verdict) {
        let waits: Vec<Wait> = gitlab.waits().filter(|wait| wait.ours).collect();
        for wait in waits {
            let Some(promised) = self.promised_since(setup, gitlab, wait.job) else { continue };
            let (since, until) = (wait.since.max(promised), wait.until.unwrap_or(now));
            if since <= until {
                self.judge_wait(&wait, since, until, setup, verdict);
            }
        }
    }

    fn judge_wait(&mut self, wait: &Wait, since: Timestamp, until: Timestamp, setup: &Setup, verdict: &mut Verdict) {
        let waited = until - since;
        // What troubled the job before a runner was promised to it, such as the loss of its hook before its project was known,
        // troubles it still.
        let unseen = unseen(setup.knowledge, self.hooks_lost(wait.since, until));
        let lane = self.rows.lane_of_job(wait.job);
        let outages_count = lane.is_some_and(|lane| self.foreign_lanes.contains(&lane));
        let costs =
            Costs { unseen, outages_count, instances: setup.ours.is_some(), own_runners: setup.has_own_runners() };
        let allowed = allowance(&self.met, (wait.since, until), costs, self.hits(wait.job));
        let stolen = self.stolen(wait.job, since, until);
        let learned = if setup.foreign { LEARNED.0 } else { 0 };
        let limit = Millis(allowed.length.0 + stolen * costs.stolen().0 + learned);
        // A launch that it was given in its own one's place has its whole way before it at most.
        let handed = self.handed(wait.job, since, until);
        let limit = handed.map_or(limit, |at| limit.max(Millis((at - since).0 + costs.untroubled().0)));
        let untroubled = if stolen > 0 { "another job took its launch" } else { "none" };
        let cause = allowed.cause.map_or(untroubled, Fault::name);
        let longest = verdict.waits.entry(cause).or_default();
        *longest = waited.max(*longest);
        verdict.waited += 1;
        if waited > limit && wait.how != Waited::Cancelled {
            let what = format!(
                "job {} waited {} s, {} s were allowed; its worst trouble was {cause}; it ended as {:?}",
                wait.job,
                waited.0 / 1000,
                limit.0 / 1000,
                wait.how
            );
            self.breaks(Promise::Waited, what);
        }
    }

    /// A job costs three launches, then one an hour as long as it counts as waiting, a day at most; and one more for each
    /// trouble that hit it and for each time that another job took its launch. That holds for every job, also for one that
    /// nobody can serve.
    pub(super) fn judge_launches(&mut self, gitlab: &GitLab, now: Timestamp) {
        let waits: Vec<Wait> = gitlab.waits().collect();
        for wait in waits {
            let launches = self.rows.launched.get(&wait.job).copied().unwrap_or_default();
            // Where the hook of its end was lost, it counts as waiting after its end.
            let until = self.rows.settled.get(&wait.job).copied().unwrap_or(now).max(wait.since);
            let hours = (until - wait.since).0.clamp(0, limits::PENDING_LIMIT.0) / limits::UNSERVED_RETRY.0 + 1;
            let troubles = self.troubles(wait.job, wait.since - limits::START_LEASE, until);
            let more = self.stolen(wait.job, wait.since, until) + troubles;
            let allowed = i64::from(limits::FRUITLESS_LIMIT) + hours + more;
            if i64::from(launches) > allowed {
                let what = format!("job {} cost {launches} launches, {allowed} were allowed", wait.job);
                self.breaks(Promise::Launches, what);
            }
        }
    }

    /// How many troubles hit the job in this time.
    fn troubles(&self, job: JobKey, from: Timestamp, until: Timestamp) -> i64 {
        let hits = self.hits(job);
        let troubles = self.met.iter().filter(|met| met.at >= from && met.at <= until && hits(&met.whom));
        i64::try_from(troubles.count()).unwrap_or(i64::MAX)
    }

    /// Whether a trouble hits the job, itself or with a launch that it was given. The lane is that of its row: where it has
    /// none, it may have been any.
    fn hits(&self, job: JobKey) -> impl Fn(&Whom) -> bool {
        let lane = self.rows.lane_of_job(job);
        move |whom| match whom {
            Whom::Job(of) => *of == job,
            Whom::Launch(of) => self.rows.charged.contains(&(job, of.clone())),
            Whom::Lane(of) => lane.as_ref().is_none_or(|lane| lane == of) || self.rows.was_given_one_of(of, job),
            Whom::Everybody | Whom::Process(_) => true,
            Whom::Pool => false,
        }
    }

    /// Hooks that were lost in this time or in the hour before: their jobs may wait for the same sentinels.
    fn hooks_lost(&self, since: Timestamp, until: Timestamp) -> i64 {
        let from = since - Millis::minutes(60);
        let lost = self.met.iter().filter(|met| met.fault == Fault::HookLost && met.at >= from && met.at <= until);
        i64::try_from(lost.count()).unwrap_or(i64::MAX)
    }

    /// When the job was given another launch the last time.
    fn handed(&self, job: JobKey, since: Timestamp, until: Timestamp) -> Option<Timestamp> {
        let handed = self.rows.handed.iter().filter(|(at, of)| *of == job && *at >= since && *at <= until);
        handed.map(|(at, _)| *at).max()
    }

    fn stolen(&self, job: JobKey, since: Timestamp, until: Timestamp) -> i64 {
        let stolen = self.rows.stolen.iter().filter(|(at, of)| *of == job && *at >= since && *at <= until);
        i64::try_from(stolen.count()).unwrap_or(i64::MAX)
    }
}
