//! What happens at GitLab by itself.

use runnerless_core::time::Timestamp;

use super::GitLab;
use super::job::Status;
use super::referee::How;
use super::update::{Report, Voice};

/// Something that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// An offer that nobody accepted.
    OfferEnds(u64),
    /// A user cancels.
    Cancel(u64),
    /// A user starts an ended job again.
    Retry(u64),
    /// A foreign runner is done.
    ForeignEnds(u64),
    /// Whether a waiting job can still hope.
    Stuck(u64),
    /// Whether a running job is alive.
    Silent(u64),
}

impl GitLab {
    /// When something is due next.
    #[must_use]
    pub fn next_tick(&self) -> Option<Timestamp> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// Does what is due, in the order of the times.
    pub fn tick(&mut self, now: Timestamp) {
        while let Some((at, timer)) = self.timers.first().copied().filter(|(at, _)| *at <= now) {
            self.timers.remove(&(at, timer));
            match timer {
                Timer::OfferEnds(id) => self.withdraw(id, at),
                Timer::Cancel(id) => self.cancel(id, at),
                Timer::Retry(id) => {
                    self.retry(id, at);
                }
                Timer::ForeignEnds(id) => self.foreign_ends(id, at),
                Timer::Stuck(id) => self.stuck(id, at),
                Timer::Silent(id) => self.silent(id, at),
            }
        }
    }

    fn foreign_ends(&mut self, id: u64, now: Timestamp) {
        let Some(job) = self.jobs.get(&id) else { return };
        let (Some(hold), Some(offer)) = (&job.hold, job.history.offers.last()) else { return };
        let (token, voice) = (hold.token.clone(), Voice::Process(offer.process));
        let report = if job.spec.work.exit_code == 0 { Report::Success } else { Report::Failed("script_failure") };
        self.update(id, &token, report, voice, now);
    }

    /// GitLab's worker for stuck jobs: no runner that was online lately may have it, or it waited for a day.
    fn stuck(&mut self, id: u64, now: Timestamp) {
        let Some(job) = self.jobs.get(&id).filter(|job| job.status == Status::Pending) else { return };
        let Some(since) = job.pending_at else { return };
        let protected = self.is_protected(job.pipeline);
        let is_online = |at: Option<Timestamp>| at.is_some_and(|at| now - at < self.rules.online);
        let hope =
            self.runners.values().any(|runner| is_online(runner.contacted_at) && runner.may_have(job, protected));
        let how = if now - since >= self.rules.hopeless {
            How::WaitedTooLong
        } else if hope || job.hold.is_some() {
            let again = (now + self.rules.stuck).min(since + self.rules.hopeless);
            self.timers.insert((again.max(now + runnerless_core::time::Millis::secs(1)), Timer::Stuck(id)));
            return;
        } else {
            How::Stuck
        };
        self.drop_job(id, "stuck_or_timeout_failure", how, now);
    }

    fn silent(&mut self, id: u64, now: Timestamp) {
        let executing = |status| matches!(status, Status::Running | Status::Canceling);
        let Some(job) = self.jobs.get(&id).filter(|job| executing(job.status)) else { return };
        let limit = job.touched_at + self.rules.silent;
        if limit > now {
            self.timers.insert((limit, Timer::Silent(id)));
        } else {
            self.drop_job(id, "no_updates_running", How::Silent, now);
        }
    }

    fn drop_job(&mut self, id: u64, reason: &'static str, how: How, now: Timestamp) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let status = if job.status == Status::Canceling { Status::Canceled } else { Status::Failed };
        job.failure_reason = Some(reason);
        job.history.ends(status.told(), how, now);
        self.enter(id, status, now);
    }
}
