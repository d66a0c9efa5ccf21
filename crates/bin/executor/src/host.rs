//! What the engine's moves become in the ledger.

use runnerless_aws::CacheBucket;
use runnerless_aws::book::Book;
use runnerless_aws::job_token::TokenSeal;
use runnerless_aws::ports::Ledger;
use runnerless_core::cache::{self, CacheKey};
use runnerless_core::event::JobHint;
use runnerless_core::id::{JobKey, LaunchId};
use runnerless_core::moves::Got;
use runnerless_core::sealed::SealedToken;
use runnerless_core::time::{Millis, Timestamp};
use runnerless_engine::{BindRefused, CachePlace, CacheUnknown, CacheUse, Host, JobIds, NamedCaches};
use runnerless_gitlab::protocol::Secret;
use tokio::sync::watch;

use runnerless_core::chain::chain;

use crate::heartbeat::Stage;

/// One launch, as the engine's host.
#[derive(Debug)]
pub(crate) struct LaunchHost<'a, L> {
    pub(crate) ledger: &'a L,
    pub(crate) launch: &'a LaunchId,
    pub(crate) hint: Option<&'a JobHint>,
    pub(crate) clock: fn() -> Timestamp,
    /// The lane's token, under which the job's is sealed.
    pub(crate) lane_token: &'a Secret,
    /// How often this process gives a sign of life.
    pub(crate) beat: Millis,
    /// The bucket with the jobs' caches, where the stack has one.
    pub(crate) caches: Option<&'a CacheBucket>,
    /// Told how far the job is.
    pub(crate) stage: watch::Sender<Stage>,
}

impl<L> LaunchHost<'_, L> {
    /// The job's key. When GitLab's description of the job cannot be read, its project is known only if it is the job
    /// that the launch was started for.
    pub(crate) fn key(&self, job: &JobIds) -> Option<JobKey> {
        let hinted = || self.hint.filter(|hint| hint.job_id == job.job_id).map(|hint| hint.project_id);
        job.project_id.or_else(hinted).map(|project| JobKey { project, job: job.job_id })
    }
}

impl<L> LaunchHost<'_, L> {
    /// The job's token for the launch's row. Without it the job runs all the same, and is not reported should this process
    /// die.
    fn sealed(&self, job: JobKey, token: &Secret) -> Option<SealedToken> {
        let sealed =
            TokenSeal::new(self.lane_token.expose(), self.launch).and_then(|seal| seal.seal(job, token.expose()));
        sealed
            .inspect_err(|error| {
                let (launch, error) = (self.launch.as_str(), error.to_string());
                tracing::error!(target: "runnerless", service = "executor", "launch.id" = launch, error, "the job's token is not kept");
            })
            .ok()
    }
}

impl<L: Ledger> Host for LaunchHost<'_, L> {
    async fn bind(&self, job: &JobIds, token: &Secret, _caches: &NamedCaches) -> Result<(), BindRefused> {
        let Some(key) = self.key(job) else {
            return Err(BindRefused("GitLab's description of the job names no project".to_owned()));
        };
        let got = Got { job_token: self.sealed(key, token), beat_ms: Some(self.beat), ..Got::from(key) };
        let bound = Book(self.ledger).bind(self.launch, got, (self.clock)()).await;
        bound.map_err(|error| BindRefused(chain(&error)))?;
        self.stage.send_replace(Stage::Bound);
        let (launch, job) = (self.launch.as_str(), key.to_string());
        tracing::info!(target: "runnerless", service = "executor", "launch.id" = launch, "job.key" = job, "bound");
        Ok(())
    }

    async fn unbind(&self, job: &JobIds) {
        self.stage.send_replace(Stage::Unbound);
        let Some(key) = self.key(job) else { return };
        let given = Book(self.ledger).give_back(self.launch, key, "not bound or not accepted", (self.clock)()).await;
        if let Err(error) = given {
            let (launch, job, error) = (self.launch.as_str(), key.to_string(), chain(&error));
            tracing::error!(target: "runnerless", service = "executor", "launch.id" = launch, "job.key" = job, error,
                "the job was given back to GitLab and not in the ledger: the sweep finds it");
        }
    }

    async fn accepted(&self, _job: &JobIds) {
        self.stage.send_replace(Stage::Accepted);
    }

    async fn cache(&self, job: &JobIds, key: &str, what: CacheUse) -> Result<CachePlace, CacheUnknown> {
        let Some(bucket) = self.caches else { return Ok(CachePlace::Nowhere(cache::NOWHERE.to_owned())) };
        let no_project = || CacheUnknown("GitLab's description of the job names no project".to_owned());
        let project = self.key(job).ok_or_else(no_project)?.project;
        let key = CacheKey::new(key).map_err(|error| CacheUnknown(error.to_string()))?;
        let url = bucket.sign(&cache::of_project(project, &key), what, (self.clock)());
        let url = url.map_err(|error| CacheUnknown(chain(&error)))?;
        Ok(CachePlace::Url(Secret::new(url.as_str())))
    }
}
