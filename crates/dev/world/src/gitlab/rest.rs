//! The jobs API, for holders of an API token.

use runnerless_core::id::JobKey;
use runnerless_core::status::JobStatus;
use runnerless_gitlab::rest::ApiJob;

use super::GitLab;
use super::job::Job;

/// One page of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Its jobs.
    pub jobs: Vec<ApiJob>,
    /// The next page's number; `None` on the last.
    pub next: Option<usize>,
}

impl GitLab {
    /// `GET projects/:id/jobs/:job_id`; `None` is 404.
    #[must_use]
    pub fn job(&self, key: JobKey) -> Option<ApiJob> {
        let job = self.jobs.get(&key.job).filter(|job| job.key == key)?;
        Some(self.shown(job))
    }

    /// `GET projects/:id/jobs?scope[]=...`: the newest first, pages counted from 1.
    #[must_use]
    pub fn list(&self, project: u64, scope: &[JobStatus], page: usize, per_page: usize) -> Page {
        let wanted = |job: &&Job| job.key.project == project && scope.contains(&job.status.told());
        let skipped = page.saturating_sub(1).saturating_mul(per_page);
        let mut rest = self.jobs.values().rev().filter(wanted).skip(skipped);
        let jobs = rest.by_ref().take(per_page).map(|job| self.shown(job)).collect();
        Page { jobs, next: rest.next().map(|_| page.max(1) + 1) }
    }

    /// The project's jobs that wait.
    #[must_use]
    pub fn pending(&self, project: u64, page: usize, per_page: usize) -> Page {
        self.list(project, &[JobStatus::Pending], page, per_page)
    }

    fn shown(&self, job: &Job) -> ApiJob {
        ApiJob {
            key: job.key,
            status: job.status.told(),
            tags: Some(job.spec.tags.clone()),
            runner: job.hold.as_ref().map(|hold| hold.runner),
            system_id: job.hold.as_ref().map(|hold| hold.system_id.clone()),
            name: job.spec.name.clone(),
            stage: job.spec.stage.clone(),
            git_ref: self.pipelines.get(&job.pipeline).map(|pipeline| pipeline.git_ref.clone()).unwrap_or_default(),
            created_at: Some(job.created_at),
        }
    }
}
