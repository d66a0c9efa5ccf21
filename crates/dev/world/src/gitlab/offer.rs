//! `POST jobs/request`: a runner asks for a job.

use runnerless_core::id::JobKey;
use runnerless_core::time::Timestamp;

use super::GitLab;
use super::job::{Hold, Status};
use super::pipeline::{Moment, Work};
use super::referee::OfferRecord;
use super::timers::Timer;

/// A runner's question.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// The runner's token.
    pub token: &'a str,
    /// The runner manager.
    pub system_id: &'a str,
    /// Whether it advertises two-phase acceptance.
    pub accepts: bool,
    /// Whether it advertises graceful cancellation.
    pub graceful: bool,
    /// The number of the process that asks: for the referee only.
    pub process: u64,
}

/// GitLab's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// 201.
    Offer(Offer),
    /// 204.
    Nothing,
    /// 403.
    Refused,
}

/// A job for the runner that asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The job.
    pub key: JobKey,
    /// The job's token: who has it speaks for the job.
    pub token: String,
    /// Its full name.
    pub name: String,
    /// Its stage.
    pub stage: String,
    /// Its ref.
    pub git_ref: String,
    /// The script, as it were.
    pub work: Work,
}

impl GitLab {
    /// The oldest job that this runner may have.
    pub fn request_job(&mut self, ask: &Ask<'_>, now: Timestamp) -> Asked {
        let Some(runner) = self.runner_of(ask.token) else { return Asked::Refused };
        self.contact(runner, ask.system_id, now);
        match self.first_for(runner) {
            Some(job) => self.hand_over(job, runner, ask, now).map_or(Asked::Nothing, Asked::Offer),
            None => Asked::Nothing,
        }
    }

    /// Whether a job waits that this runner may have now.
    #[must_use]
    pub fn has_job_for(&self, runner: u64) -> bool {
        self.first_for(runner).is_some()
    }

    fn first_for(&self, runner: u64) -> Option<u64> {
        let runner = self.runners.get(&runner)?;
        self.queue.iter().copied().find(|id| {
            let Some(job) = self.jobs.get(id) else { return false };
            runner.may_have(job, self.is_protected(job.pipeline))
        })
    }

    pub(super) fn is_protected(&self, pipeline: u64) -> bool {
        self.pipelines.get(&pipeline).is_some_and(|pipeline| pipeline.protected)
    }

    fn hand_over(&mut self, id: u64, runner: u64, ask: &Ask<'_>, now: Timestamp) -> Option<Offer> {
        let token = format!("glcbt-66_{:020x}", self.rng.u128(..) >> 48);
        let two_phase = self.rules.two_phase && ask.accepts;
        let until = now + self.rules.offer;
        let git_ref = self.pipelines.get(&self.jobs.get(&id)?.pipeline)?.git_ref.clone();
        let job = self.jobs.get_mut(&id)?;
        job.hold = Some(Hold {
            runner,
            system_id: ask.system_id.to_owned(),
            token: token.clone(),
            offered_until: two_phase.then_some(until),
            graceful: ask.graceful,
        });
        job.history.offers.push(OfferRecord {
            process: ask.process,
            runner,
            at: now,
            accepted_at: None,
            withdrawn_at: None,
        });
        let spec = &job.spec;
        let (name, stage, work) = (spec.name.clone(), spec.stage.clone(), spec.work);
        let offer = Offer { key: job.key, token, name, stage, git_ref, work };
        self.queue.remove(&id);
        self.cancels(id, Moment::Offered, now);
        if two_phase {
            self.timers.insert((until, Timer::OfferEnds(id)));
        } else {
            self.enter(id, Status::Running, now);
        }
        Some(offer)
    }

    /// Nobody accepted in time: the job waits again for any runner, under another token.
    pub(super) fn withdraw(&mut self, id: u64, now: Timestamp) {
        let Some(job) = self.jobs.get_mut(&id).filter(|job| job.is_offered()) else { return };
        let Some(until) = job.hold.as_ref().and_then(|hold| hold.offered_until) else { return };
        if until > now {
            self.timers.insert((until, Timer::OfferEnds(id)));
            return;
        }
        job.expired_tokens.extend(job.hold.take().map(|hold| hold.token));
        if let Some(offer) = job.history.offers.last_mut() {
            offer.withdrawn_at = Some(now);
        }
        self.queue.insert(id);
    }
}
