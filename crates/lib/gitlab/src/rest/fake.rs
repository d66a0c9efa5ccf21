//! The jobs API in memory.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use runnerless_core::id::JobKey;

use super::api::JobsApi;
use super::error::RestError;
use super::facts::ApiJob;
use crate::protocol::Refusal;

#[derive(Debug, Default)]
struct State {
    jobs: HashMap<JobKey, ApiJob>,
    failing: Option<u16>,
    calls: u32,
}

/// Jobs that a test put there.
#[derive(Debug, Default)]
pub struct FakeJobs {
    state: Mutex<State>,
}

impl FakeJobs {
    /// Adds or replaces a job.
    pub fn put(&self, job: ApiJob) {
        self.state().jobs.insert(job.key, job);
    }

    /// From now on every call is answered with this HTTP status; `None` ends that.
    pub fn fail(&self, status: Option<u16>) {
        self.state().failing = status;
    }

    /// How many calls were made, in vain or not.
    #[must_use]
    pub fn calls(&self) -> u32 {
        self.state().calls
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl JobsApi for FakeJobs {
    async fn job(&self, key: JobKey) -> Result<Option<ApiJob>, RestError> {
        let mut state = self.state();
        state.calls += 1;
        let Some(status) = state.failing else { return Ok(state.jobs.get(&key).cloned()) };
        let refusal = Refusal {
            operation: "GET projects/:id/jobs/:job_id",
            status,
            message: "the test said so".to_owned(),
            retry_after: None,
            job_status: None,
        };
        Err(if refusal.is_temporary() { RestError::Later(refusal) } else { RestError::Refused(refusal) })
    }
}
