//! Users cancel jobs.

use runnerless_core::time::Timestamp;

use super::GitLab;
use super::job::Status;
use super::pipeline::Moment;
use super::referee::How;
use super::timers::Timer;

impl GitLab {
    /// Cancels a job: a running one whose runner can do so gracefully is `canceling` until it reports its end.
    pub(super) fn cancel(&mut self, id: u64, now: Timestamp) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let graceful = job.hold.as_ref().is_some_and(|hold| hold.graceful);
        match job.status {
            Status::Running if graceful => {
                job.history.cancelled_at = Some(now);
                self.enter(id, Status::Canceling, now);
            }
            Status::Created | Status::Pending | Status::Running => {
                job.history.cancelled_at = Some(now);
                job.history.ends(Status::Canceled.told(), How::Cancelled, now);
                self.enter(id, Status::Canceled, now);
            }
            Status::Canceling | Status::Success | Status::Failed | Status::Canceled | Status::Skipped => {}
        }
    }

    /// Sets the clock of a cancellation that counts from this moment.
    pub(super) fn cancels(&mut self, id: u64, moment: Moment, now: Timestamp) {
        let Some(cancel) = self.jobs.get(&id).and_then(|job| job.spec.cancel) else { return };
        if cancel.from == moment {
            self.timers.insert((now + cancel.after, Timer::Cancel(id)));
        }
    }
}
