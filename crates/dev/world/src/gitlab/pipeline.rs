//! Pipelines: what users ask for, and which job waits for which.

use std::sync::Arc;

use runnerless_core::lane::TagSet;
use runnerless_core::time::{Millis, Timestamp};

use super::job::Status;
use super::{GitLab, draw};

/// When a user loses interest in a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Counted from its creation.
    Created,
    /// Counted from the moment it began to wait.
    Pending,
    /// Counted from its first offer (with two-phase acceptance), or from its start.
    Offered,
    /// Counted from its start.
    Running,
}

/// A cancellation that is bound to what happens to its job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CancelAt {
    /// What it is counted from.
    pub from: Moment,
    /// How long after that.
    pub after: Millis,
}

/// What a job does once it runs. It is a runner's to find out; GitLab only knows the script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Work {
    /// How long its script runs.
    pub length: Millis,
    /// The script's exit code.
    pub exit_code: u8,
}

/// A job of a `.gitlab-ci.yml`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobSpec {
    /// Its full name.
    pub name: String,
    /// Its stage.
    pub stage: String,
    /// Its tags.
    pub tags: TagSet,
    /// The places, in the pipeline, of the jobs that must succeed before it.
    pub needs: Vec<usize>,
    /// What it does.
    pub work: Work,
    /// Whether and when a user cancels it.
    pub cancel: Option<CancelAt>,
    /// How long after it ended in anything but success a user starts it again.
    pub retry: Option<Millis>,
}

/// A pipeline that a user starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PipelineSpec {
    /// The project's id.
    pub project: u64,
    /// The branch.
    pub git_ref: String,
    /// Whether the branch is protected.
    pub protected: bool,
    /// Its jobs; each needs only jobs before it.
    pub jobs: Vec<JobSpec>,
}

/// A pipeline as it stands.
#[derive(Clone, Debug)]
pub(super) struct Pipeline {
    pub(super) git_ref: String,
    pub(super) protected: bool,
    pub(super) sha: String,
    /// The newest job at each place.
    pub(super) slots: Vec<u64>,
}

impl GitLab {
    /// Creates the jobs; those that need nothing wait at once.
    ///
    /// # Panics
    /// The project does not exist: the world made it.
    pub(super) fn create_pipeline(&mut self, spec: &PipelineSpec, now: Timestamp) -> u64 {
        assert!(
            self.projects.contains_key(&spec.project),
            "a pipeline of project {}, which is not there",
            spec.project
        );
        let id = draw(&mut self.next.pipeline);
        let sha = format!("{:032x}{:08x}", self.rng.u128(..), self.rng.u32(..));
        let (git_ref, protected) = (spec.git_ref.clone(), spec.protected);
        self.pipelines.insert(id, Pipeline { git_ref, protected, sha, slots: Vec::new() });
        for (slot, job) in spec.jobs.iter().enumerate() {
            let job = self.insert_job(spec.project, id, slot, Arc::new(job.clone()), 0, now);
            if let Some(pipeline) = self.pipelines.get_mut(&id) {
                pipeline.slots.push(job);
            }
        }
        self.progress(id, now);
        id
    }

    /// Lets those jobs wait whose needs are met, and skips those whose needs cannot be met any more.
    pub(super) fn progress(&mut self, pipeline: u64, now: Timestamp) {
        let Some(slots) = self.pipelines.get(&pipeline).map(|pipeline| pipeline.slots.clone()) else { return };
        for &id in &slots {
            let Some(job) = self.jobs.get(&id).filter(|job| job.status == Status::Created) else { continue };
            let needs = job.spec.needs.iter().filter_map(|slot| self.jobs.get(slots.get(*slot)?));
            let (mut met, mut broken) = (true, false);
            for need in needs {
                met &= need.status == Status::Success;
                broken |= need.status.is_over() && need.status != Status::Success;
            }
            if broken {
                self.enter(id, Status::Skipped, now);
            } else if met {
                self.enter(id, Status::Pending, now);
            }
        }
    }

    /// A user starts an ended job again: a new job takes its place, and what was skipped for it may run after all.
    pub(super) fn retry(&mut self, id: u64, now: Timestamp) -> Option<u64> {
        let old = self.jobs.get(&id)?;
        let (key, pipeline, slot, retries) = (old.key, old.pipeline, old.slot, old.retries);
        let over = matches!(old.status, Status::Success | Status::Failed | Status::Canceled);
        if !over || self.pipelines.get(&pipeline)?.slots.get(slot) != Some(&id) {
            return None;
        }
        let work = Work { exit_code: 0, ..old.spec.work };
        let spec = JobSpec { work, cancel: None, retry: None, ..(*old.spec).clone() };
        let new = self.insert_job(key.project, pipeline, slot, Arc::new(spec), retries + 1, now);
        let pipeline_row = self.pipelines.get_mut(&pipeline)?;
        pipeline_row.slots[slot] = new;
        for later in &pipeline_row.slots[slot + 1..] {
            if let Some(job) = self.jobs.get_mut(later).filter(|job| job.status == Status::Skipped) {
                job.status = Status::Created;
                self.open += 1;
                job.finished_at = None;
                job.history.end = None;
            }
        }
        self.progress(pipeline, now);
        Some(new)
    }
}
