//! A job is repeated, or a manual one is started.

use std::sync::Arc;

use crate::rules::progress::revived;
use crate::world::World;
use crate::world::spec::When;
use crate::world::status::Status;

impl World {
    /// Makes a new job in the place of an ended one; the old one counts no more.
    pub(crate) fn copy_job(&mut self, id: u64) -> Option<u64> {
        let mut old = self.jobs.remove(&id)?;
        let copy = self.insert_job(old.pipeline, Arc::clone(&old.spec), Some(&old));
        old.retried = true;
        self.jobs.insert(id, old);
        self.event(copy, "created");
        self.tell(copy, Status::Created);
        Some(copy)
    }

    /// Repeats an ended job for a person. `None` when it cannot be repeated: not over, skipped, or repeated already.
    pub(crate) fn retry(&mut self, id: u64) -> Option<u64> {
        let job = self.jobs.get(&id)?;
        let over = matches!(job.status, Status::Success | Status::Failed | Status::Canceled);
        if !over || job.retried {
            return None;
        }
        let (pipeline, name) = (job.pipeline, job.spec.name.clone());
        let copy = self.copy_job(id)?;
        self.queue_up(copy);
        let (ids, nodes) = self.nodes(pipeline);
        let again: Vec<u64> = revived(&nodes, &name).into_iter().filter_map(|at| ids.get(at).copied()).collect();
        for job in again {
            if let Some(row) = self.jobs.get_mut(&job) {
                row.finished_at = None;
            }
            self.enter(job, Status::Created);
        }
        self.progress(pipeline);
        Some(copy)
    }

    /// Starts a manual or delayed job. False when it waits for nobody.
    pub(crate) fn play(&mut self, id: u64) -> bool {
        let Some(job) = self.jobs.get(&id) else { return false };
        let waits = matches!(job.status, Status::Manual | Status::Scheduled);
        if waits {
            let pipeline = job.pipeline;
            self.queue_up(id);
            self.progress(pipeline);
        }
        waits
    }

    /// Whether `play` is the right word for the job.
    pub(crate) fn is_manual(&self, id: u64) -> bool {
        self.jobs.get(&id).is_some_and(|job| job.spec.when == When::Manual)
    }
}
