//! A job enters a state, and what follows from it in its pipeline.

use crate::clock::Millis;
use crate::rules::composite::composite;
use crate::rules::progress::{Node, Step, due};
use crate::world::settings::millis;
use crate::world::status::Status;
use crate::world::{Timer, World};

impl World {
    /// Puts a job into a state: times, queue, timers, pipeline state, event, hooks. The pipeline's other jobs are not
    /// looked at; that is [`World::progress`].
    pub(crate) fn enter(&mut self, id: u64, status: Status) {
        let now = self.now;
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.status = status;
        job.touched_at = now;
        let timeout = job.hold.timeout_s;
        let pipeline = job.pipeline;
        match status {
            Status::Pending => {
                job.queued_at = Some(now);
                self.enqueue(id);
                self.timers.insert((now + millis(self.settings.stuck_s), Timer::Stuck(id)));
            }
            Status::Running => {
                job.started_at = Some(now);
                job.hold.offered_until = None;
                self.queue.remove(&id);
                let end = now + timeout * 1000 + millis(self.settings.timeout_grace_s);
                self.timers.insert((end, Timer::Overtime(id)));
                self.timers.insert((now + millis(self.settings.no_updates_s), Timer::NoUpdates(id)));
            }
            Status::Success | Status::Failed | Status::Canceled | Status::Skipped => {
                job.finished_at = Some(now);
                job.stamps.finished = (status != Status::Skipped).then_some(now);
                job.hold.offered_until = None;
                self.queue.remove(&id);
            }
            Status::Created | Status::Manual | Status::Scheduled | Status::WaitingForResource | Status::Canceling => {}
        }
        self.refresh_pipeline(pipeline);
        self.event(id, status.as_str());
        self.tell(id, status);
        if status.is_completed() {
            self.release(id);
        }
    }

    /// Makes a pending job visible to runners.
    pub(crate) fn enqueue(&mut self, id: u64) {
        self.queue.insert(id);
        self.queue_version += 1;
    }

    /// The newest job of each name, in the order of the file.
    pub(crate) fn latest(&self, pipeline: u64) -> Vec<u64> {
        let Some(pipeline) = self.pipelines.get(&pipeline) else { return Vec::new() };
        pipeline.jobs.iter().copied().filter(|id| self.jobs.get(id).is_some_and(|job| !job.retried)).collect()
    }

    /// The newest jobs as the progress rule sees them.
    pub(crate) fn nodes(&self, pipeline: u64) -> (Vec<u64>, Vec<Node<'_>>) {
        let ids = self.latest(pipeline);
        let nodes = ids.iter().filter_map(|id| self.jobs.get(id)).map(|job| Node {
            name: &job.spec.name,
            stage: job.spec.stage_index,
            needs: job.spec.needs.as_deref(),
            when: job.spec.when,
            status: job.status,
            allow_failure: job.allow_failure,
        });
        let nodes = nodes.collect();
        (ids, nodes)
    }

    /// Lets the jobs whose turn has come begin, or be skipped, until nothing more follows.
    pub(crate) fn progress(&mut self, pipeline: u64) {
        loop {
            let (ids, nodes) = self.nodes(pipeline);
            let steps: Vec<(u64, Step)> =
                due(&nodes).into_iter().filter_map(|(at, step)| ids.get(at).map(|id| (*id, step))).collect();
            if steps.is_empty() {
                return;
            }
            for (id, step) in steps {
                self.take_step(id, step);
            }
        }
    }

    fn take_step(&mut self, id: u64, step: Step) {
        match step {
            Step::Enqueue => self.queue_up(id),
            Step::Ask => self.enter(id, Status::Manual),
            Step::Skip => self.enter(id, Status::Skipped),
            Step::Delay(seconds) => {
                self.enter(id, Status::Scheduled);
                let at: Millis = self.now + seconds.saturating_mul(1000);
                self.timers.insert((at, Timer::Delayed(id)));
            }
        }
    }

    /// Computes a pipeline's state from its jobs.
    pub(crate) fn refresh_pipeline(&mut self, id: u64) {
        let jobs: Vec<(Status, bool)> = self
            .latest(id)
            .iter()
            .filter_map(|id| self.jobs.get(id))
            .map(|job| (job.status, job.allow_failure))
            .collect();
        let started = jobs.iter().any(|(status, _)| status.is_executing());
        let now = self.now;
        let (Some(status), Some(pipeline)) = (composite(&jobs, false), self.pipelines.get_mut(&id)) else { return };
        pipeline.status = status;
        pipeline.updated_at = now;
        if started && pipeline.started_at.is_none() {
            pipeline.started_at = Some(now);
        }
        pipeline.finished_at = status.is_completed().then(|| pipeline.finished_at.unwrap_or(now));
    }

    /// Whether nothing more happens in the pipeline by itself.
    pub(crate) fn is_settled(&self, pipeline: u64) -> bool {
        self.pipelines
            .get(&pipeline)
            .is_some_and(|pipeline| pipeline.status.is_completed() || pipeline.status == Status::Manual)
    }
}
