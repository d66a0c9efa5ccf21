//! A job changes its state: times, queue, clocks and hooks follow.

use std::sync::Arc;

use runnerless_core::id::JobKey;
use runnerless_core::time::{Millis, Timestamp};

use super::job::{Job, Status};
use super::pipeline::{JobSpec, Moment};
use super::referee::History;
use super::timers::Timer;
use super::{GitLab, draw};

impl GitLab {
    pub(super) fn insert_job(
        &mut self,
        project: u64,
        pipeline: u64,
        slot: usize,
        spec: Arc<JobSpec>,
        retries: u32,
        now: Timestamp,
    ) -> u64 {
        let id = draw(&mut self.next.job);
        let key = JobKey { project, job: id };
        let job = Job {
            key,
            pipeline,
            slot,
            spec,
            retries,
            status: Status::Created,
            hold: None,
            expired_tokens: Vec::new(),
            created_at: now,
            pending_at: None,
            started_at: None,
            finished_at: None,
            touched_at: now,
            failure_reason: None,
            history: History::default(),
        };
        self.jobs.insert(id, job);
        self.open += 1;
        // One worker tells of all of a pipeline's new jobs, when it gets to it.
        let late = Millis(self.rng.i64(0..=self.rules.created_late.0.max(0)));
        self.tell(id, Status::Created, now + late);
        self.cancels(id, Moment::Created, now);
        id
    }

    /// The one place where a job's status changes.
    pub(super) fn enter(&mut self, id: u64, status: Status, now: Timestamp) {
        let stuck = self.rules.stuck;
        let silent = self.rules.silent;
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.status = status;
        match status {
            Status::Pending => {
                job.pending_at = Some(now);
                self.queue.insert(id);
                self.timers.insert((now + stuck, Timer::Stuck(id)));
                self.cancels(id, Moment::Pending, now);
            }
            Status::Running => {
                job.started_at = Some(now);
                job.touched_at = now;
                self.timers.insert((now + silent, Timer::Silent(id)));
                self.cancels(id, Moment::Running, now);
            }
            Status::Canceling => job.touched_at = now,
            Status::Created => {}
            Status::Success | Status::Failed | Status::Canceled | Status::Skipped => self.over(id, now),
        }
        self.tell(id, status, now);
        if status.is_over() {
            let pipeline = self.jobs.get(&id).map(|job| job.pipeline);
            pipeline.into_iter().for_each(|pipeline| self.progress(pipeline, now));
        }
    }

    fn over(&mut self, id: u64, now: Timestamp) {
        self.queue.remove(&id);
        self.open -= 1;
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.finished_at = Some(now);
        let again = job.spec.retry.filter(|_| matches!(job.status, Status::Failed | Status::Canceled));
        if let Some(after) = again {
            self.timers.insert((now + after, Timer::Retry(id)));
        }
    }
}
