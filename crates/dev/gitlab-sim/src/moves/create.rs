//! A pipeline and its jobs come into being.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::log::JobLog;
use crate::world::World;
use crate::world::job::{Hold, Job, Knobs, RawJob, Stamps};
use crate::world::project::Pipeline;
use crate::world::spec::{JobSpec, Variable};
use crate::world::status::Status;

/// What a pipeline is made of.
#[derive(Debug)]
pub(crate) struct NewPipeline {
    /// Its project.
    pub project: u64,
    /// Branch or tag.
    pub ref_name: String,
    /// The ref is a tag.
    pub tag: bool,
    /// The commit.
    pub sha: String,
    /// What started it.
    pub source: String,
    /// Its own variables.
    pub variables: Vec<Variable>,
    /// It sends no hooks.
    pub silent: bool,
}

impl World {
    /// The id that the next pipeline gets; its ref in the repository is made before the pipeline.
    pub(crate) fn next_pipeline(&mut self) -> u64 {
        self.ids.pipeline += 1;
        self.ids.pipeline
    }

    /// Makes a pipeline with all its jobs, tells of them in bulk, and lets the first ones begin.
    pub(crate) fn create_pipeline(&mut self, id: u64, new: NewPipeline, specs: Vec<JobSpec>) {
        self.insert_pipeline(id, new);
        let ids: Vec<u64> = specs.into_iter().map(|spec| self.insert_job(id, Arc::new(spec), None)).collect();
        self.refresh_pipeline(id);
        for job in &ids {
            self.event(*job, "created");
        }
        for job in &ids {
            self.tell(*job, Status::Created);
        }
        self.progress(id);
    }

    /// Makes the pipeline of a case file's job, and the job, which is pending at once.
    pub(crate) fn create_raw(&mut self, id: u64, new: NewPipeline, spec: JobSpec, raw: RawJob, knobs: Knobs) -> u64 {
        self.insert_pipeline(id, new);
        let job = self.insert_job(id, Arc::new(spec), None);
        if let Some(row) = self.jobs.get_mut(&job) {
            row.raw = Some(raw);
            row.knobs = knobs;
        }
        self.event(job, "created");
        self.enter(job, Status::Pending);
        job
    }

    fn insert_pipeline(&mut self, id: u64, new: NewPipeline) {
        let protected = self.projects.get(&new.project).is_some_and(|project| project.protects(&new.ref_name));
        let iid = self.projects.get_mut(&new.project).map_or(1, |project| {
            project.pipelines += 1;
            project.pipelines
        });
        let pipeline = Pipeline {
            id,
            iid,
            project: new.project,
            ref_name: new.ref_name,
            tag: new.tag,
            protected,
            sha: new.sha,
            source: new.source,
            status: Status::Created,
            created_at: self.now,
            started_at: None,
            finished_at: None,
            updated_at: self.now,
            variables: new.variables,
            jobs: Vec::new(),
            silent: new.silent,
        };
        self.pipelines.insert(id, pipeline);
    }

    /// Makes a job in state `created`.
    pub(crate) fn insert_job(&mut self, pipeline: u64, spec: Arc<JobSpec>, retry_of: Option<&Job>) -> u64 {
        self.ids.job += 1;
        let id = self.ids.job;
        let project = self.pipelines.get(&pipeline).map_or(0, |pipeline| pipeline.project);
        let log = JobLog::new(self.place.dir.join("logs").join(format!("{project}-{id}.log")));
        let job = Job {
            id,
            project,
            pipeline,
            status: Status::Created,
            allow_failure: spec.allows_failure(),
            exit_code: None,
            failure_reason: None,
            retried: false,
            retry_of: retry_of.map(|job| job.id),
            retries_count: retry_of.map_or(0, |job| job.retries_count + 1),
            created_at: self.now,
            queued_at: None,
            started_at: None,
            finished_at: None,
            touched_at: self.now,
            hold: Hold::default(),
            stamps: Stamps::default(),
            log,
            artifacts: BTreeMap::new(),
            raw: retry_of.and_then(|job| job.raw.clone()),
            knobs: Knobs { put_202: self.settings.put_202, ..Knobs::default() },
            final_state: None,
            reported: None,
            told_over: false,
            spec,
        };
        self.jobs.insert(id, job);
        if let Some(pipeline) = self.pipelines.get_mut(&pipeline) {
            pipeline.jobs.push(id);
        }
        id
    }
}
