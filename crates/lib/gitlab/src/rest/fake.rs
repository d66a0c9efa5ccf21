//! The REST API in memory.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use runnerless_core::id::JobKey;
use runnerless_core::project::Hook;
use runnerless_core::status::JobStatus;
use runnerless_core::time::Millis;

use super::api::JobsApi;
use super::error::RestError;
use super::facts::ApiJob;
use super::hooks::Hooks;
use super::pending::{PendingJob, PendingPage};
use super::project::{ApiProject, ProjectsApi};
use crate::protocol::Refusal;

/// Jobs of a page, unless a test says otherwise: GitLab's.
const PER_PAGE: usize = 100;

#[derive(Debug, Default)]
struct State {
    jobs: BTreeMap<JobKey, ApiJob>,
    waited: HashMap<JobKey, Millis>,
    hooks: HashMap<u64, Hooks>,
    hidden: Vec<u64>,
    paths: HashMap<u64, String>,
    per_page: Option<usize>,
    failing: Option<u16>,
    pages_failing: Vec<(u32, u16)>,
    pages: u32,
    hooks_failing: Option<u16>,
    calls: Vec<String>,
}

/// Jobs and hooks that a test put there.
#[derive(Debug, Default)]
pub struct FakeJobs {
    state: Mutex<State>,
}

impl FakeJobs {
    /// Adds or replaces a job.
    pub fn put(&self, job: ApiJob) {
        self.state().jobs.insert(job.key, job);
    }

    /// Says how long a job has been pending; else this GitLab does not say.
    pub fn put_waited(&self, key: JobKey, waited: Millis) {
        self.state().waited.insert(key, waited);
    }

    /// Says a project's path; else its jobs have no address.
    pub fn put_path(&self, project: u64, path: &str) {
        self.state().paths.insert(project, path.to_owned());
    }

    /// Replaces a project's hooks.
    pub fn put_hooks(&self, project: u64, hooks: Vec<Hook>) {
        self.state().hooks.insert(project, Hooks { hooks, complete: true });
    }

    /// The project is gone, or the token may not see it.
    pub fn hide(&self, project: u64) {
        self.state().hidden.push(project);
    }

    /// From now on a page has so many jobs.
    pub fn page_size(&self, jobs: usize) {
        self.state().per_page = Some(jobs);
    }

    /// From now on every call is answered with this HTTP status; `None` ends that.
    pub fn fail(&self, status: Option<u16>) {
        self.state().failing = status;
    }

    /// The `nth` page from now, counted from 1, is answered with this HTTP status; those around it are not.
    pub fn fail_page(&self, nth: u32, status: u16) {
        let mut state = self.state();
        let page = state.pages + nth;
        state.pages_failing.push((page, status));
    }

    /// From now on hooks are answered with this HTTP status, as to those who are no maintainers; `None` ends that.
    pub fn fail_hooks(&self, status: Option<u16>) {
        self.state().hooks_failing = status;
    }

    /// How many calls were made, in vain or not.
    #[must_use]
    pub fn calls(&self) -> u32 {
        u32::try_from(self.state().calls.len()).unwrap_or(u32::MAX)
    }

    /// The calls in their order: `job 41/7`, `pending 41`, `pending 41 from 7`, `hooks 41`.
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        self.state().calls.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn refusal(operation: &'static str, status: u16) -> Refusal {
    Refusal { operation, status, message: "the test said so".to_owned(), retry_after: None, job_status: None }
}

fn refused(operation: &'static str, status: u16) -> RestError {
    let refusal = refusal(operation, status);
    if refusal.is_temporary() { RestError::Later(refusal) } else { RestError::Refused(refusal) }
}

impl State {
    fn called(&mut self, what: String, operation: &'static str) -> Result<(), RestError> {
        self.calls.push(what);
        self.failing.map_or(Ok(()), |status| Err(refused(operation, status)))
    }

    /// Whether there is such a project, as far as the token may see: one of which a test said something.
    fn sees(&self, project: u64) -> bool {
        let has_jobs = || self.jobs.keys().any(|key| key.project == project);
        let is_there = self.paths.contains_key(&project) || self.hooks.contains_key(&project) || has_jobs();
        is_there && !self.hidden.contains(&project)
    }

    fn pending(&self, key: JobKey) -> PendingJob {
        PendingJob {
            job: self.jobs[&key].clone(),
            waited: self.waited.get(&key).copied(),
            project_path: self.paths.get(&key.project).cloned(),
        }
    }
}

impl JobsApi for FakeJobs {
    async fn job(&self, key: JobKey) -> Result<Option<ApiJob>, RestError> {
        let mut state = self.state();
        state.called(format!("job {key}"), "GET projects/:id/jobs/:job_id")?;
        Ok(state.jobs.get(&key).cloned())
    }

    /// Cursors are job ids, as GitLab's are in their way; one that is none is refused like a cursor of another release.
    async fn pending(&self, project: u64, from: Option<&str>) -> Result<Option<PendingPage>, RestError> {
        let mut state = self.state();
        let called = from.map_or(format!("pending {project}"), |from| format!("pending {project} from {from}"));
        state.called(called, super::pending::OPERATION)?;
        state.pages += 1;
        let page = state.pages;
        if let Some((_, status)) = state.pages_failing.iter().find(|(nth, _)| *nth == page) {
            return Err(match status {
                400 | 405 => {
                    RestError::NoPages { refusal: refusal(super::pending::OPERATION, *status), first: from.is_none() }
                }
                status => refused(super::pending::OPERATION, *status),
            });
        }
        if !state.sees(project) {
            return Ok(None);
        }
        let below: u64 = match from.map(str::parse) {
            None => u64::MAX,
            Some(Ok(id)) => id,
            Some(Err(_)) => {
                return Err(RestError::NoPages { refusal: refusal(super::pending::OPERATION, 400), first: false });
            }
        };
        let is_of_page =
            |job: &&ApiJob| job.key.project == project && job.key.job < below && job.status == JobStatus::Pending;
        let keys: Vec<JobKey> = state.jobs.values().rev().filter(is_of_page).map(|job| job.key).collect();
        let shown = &keys[..keys.len().min(state.per_page.unwrap_or(PER_PAGE))];
        let next = shown.last().filter(|_| shown.len() < keys.len()).map(|last| last.job.to_string());
        Ok(Some(PendingPage { jobs: shown.iter().map(|key| state.pending(*key)).collect(), next }))
    }

    async fn hooks(&self, project: u64) -> Result<Option<Hooks>, RestError> {
        let mut state = self.state();
        state.called(format!("hooks {project}"), super::hooks::OPERATION)?;
        if let Some(status) = state.hooks_failing {
            return Err(refused(super::hooks::OPERATION, status));
        }
        if !state.sees(project) {
            return Ok(None);
        }
        Ok(Some(state.hooks.get(&project).cloned().unwrap_or(Hooks { hooks: Vec::new(), complete: true })))
    }
}

impl ProjectsApi for FakeJobs {
    /// The projects are those whose path a test said.
    async fn project(&self, name: &str) -> Result<Option<ApiProject>, RestError> {
        let mut state = self.state();
        state.called(format!("project {name}"), "GET projects/:id")?;
        let is_it = |(id, path): &(&u64, &String)| name == path.as_str() || name.parse() == Ok(**id);
        let found = state.paths.iter().find(is_it).filter(|(id, _)| state.sees(**id));
        Ok(found.map(|(id, path)| ApiProject { id: *id, path: path.clone() }))
    }
}
