//! The jobs and hooks API, for holders of an API token.

use runnerless_core::id::JobKey;
use runnerless_core::project::{Alert, Hook};
use runnerless_core::status::JobStatus;
use runnerless_core::time::Timestamp;
use runnerless_gitlab::rest::{ApiJob, Hooks, PendingJob, PendingPage};

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

    /// `GET projects/:id/jobs?scope[]=pending&pagination=keyset`: the newest first, from the job before `below` on; a cursor
    /// is the last job's id.
    #[must_use]
    pub fn pending_below(&self, project: u64, below: u64, per_page: usize, now: Timestamp) -> Option<PendingPage> {
        let path = self.path_of(project)?.to_owned();
        let waits = |job: &&Job| job.key.project == project && job.status.told() == JobStatus::Pending;
        let mut rest = self.jobs.range(..below).rev().map(|(_, job)| job).filter(waits);
        let shown = |job: &Job| PendingJob {
            job: self.shown(job),
            waited: job.pending_at.map(|at| now - at),
            project_path: Some(path.clone()),
        };
        let jobs: Vec<PendingJob> = rest.by_ref().take(per_page).map(shown).collect();
        let next = rest.next().and_then(|_| jobs.last().map(|last| last.job.key.job.to_string()));
        Some(PendingPage { jobs, next })
    }

    /// `GET projects/:id/hooks`: the one hook of the project, which goes to `url`.
    #[must_use]
    pub fn hooks(&self, project: u64, url: &str, now: Timestamp) -> Option<Hooks> {
        let state = self.hook(project, now)?;
        let alert = Alert::parse(state.alert_status.as_str());
        let hook = Hook { url: url.to_owned(), job_events: true, alert, disabled_until: state.disabled_until };
        Some(Hooks { hooks: vec![hook], complete: true })
    }

    fn shown(&self, job: &Job) -> ApiJob {
        ApiJob {
            key: job.key,
            status: job.status.told(),
            tags: Some(job.spec.tags.clone()),
            runner: job.hold.as_ref().map(|hold| hold.runner).filter(|id| self.runners.contains_key(id)),
            system_id: job.hold.as_ref().map(|hold| hold.system_id.clone()),
            name: job.spec.name.clone(),
            stage: job.spec.stage.clone(),
            git_ref: self.pipelines.get(&job.pipeline).map(|pipeline| pipeline.git_ref.clone()).unwrap_or_default(),
            created_at: Some(job.created_at),
        }
    }
}
