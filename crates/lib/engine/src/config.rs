//! What one run of the engine is told, and what it asks of the program around it.

use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

use runnerless_core::cache::{CacheUse, NamedCaches};
use runnerless_gitlab::protocol::{Proxy, Secret};
use tokio::time::Instant;

/// How to run one job.
#[derive(Debug)]
pub struct RunConfig {
    /// The runner's authentication token; for a job that was handed out already, the part of it that may be shown.
    pub token: Secret,
    /// Which of the runner's managers this is; `None` lets GitLab file it under its legacy one.
    pub system_id: Option<String>,
    /// The runner's name for the log's second line; may be empty.
    pub runner_name: String,
    /// How long to ask for a job.
    pub wait: Duration,
    /// What to do about `image:` and `services:`.
    pub images: ImagePolicy,
    /// Whether the system that the job runs on is thrown away after it: decides between `CI_DISPOSABLE_ENVIRONMENT` and
    /// `CI_SHARED_ENVIRONMENT`.
    pub disposable: bool,
    /// The environment that the job's shells start with.
    pub environment: Environment,
    /// The end of the host's own time, if it has one.
    pub deadline: Option<Deadline>,
    /// Largest log in bytes.
    pub log_limit: usize,
    /// The proxy that git uses too.
    pub proxy: Option<Proxy>,
    /// PEM certificates that git and the job trust for GitLab.
    pub ca_pem: Option<String>,
    /// How long reporting the end may take; the official runner tries for hours, which a function cannot.
    pub report_limit: Duration,
}

/// What to do about a job that names an image or services, which a shell does not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImagePolicy {
    /// Fail the job with a sentence that names the cure.
    Fail,
    /// Run it and say so in the log.
    Warn,
    /// Run it, as the official shell executor does, without a word.
    Ignore,
}

/// The environment that the job's shells start with: this and the job's variables, nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Environment {
    /// `PATH`.
    pub path: String,
    /// `LANG`.
    pub lang: String,
    /// `USER` and `LOGNAME`.
    pub user: String,
    /// What can be done about a command that is on no folder of `path`, as a sentence for the log.
    pub cure: String,
}

/// When the host itself ends, and how the job is told.
#[derive(Clone, Debug)]
pub struct Deadline {
    /// The host is gone then.
    pub at: Instant,
    /// How long before it the script must stop, so that `after_script` and the report still happen.
    pub grace: Duration,
    /// What ends, for the log: `the Lambda invocation`.
    pub of_what: String,
    /// What its owner can do about it, as a sentence for the log.
    pub cure: String,
}

/// Names of the job that a host needs to record it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobIds {
    /// GitLab's job id.
    pub job_id: u64,
    /// GitLab's project id; `None` when the job's body could not be read.
    pub project_id: Option<u64>,
    /// GitLab's pipeline id; older versions do not send it.
    pub pipeline_id: Option<u64>,
    /// The job's full name.
    pub name: String,
    /// The stage's name.
    pub stage: String,
    /// Branch or tag.
    pub ref_name: String,
}

/// The host does not let this run have the job.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BindRefused(pub String);

/// Where a cache is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CachePlace {
    /// Nowhere: the host keeps none. A sentence for the log that names the cure.
    Nowhere(String),
    /// This file, which need not be there; its folder may be missing too.
    File(PathBuf),
    /// Behind this signed URL (GET to restore, PUT to save, for as long as it says). Whoever has it may use it: it is not
    /// logged.
    Url(Secret),
}

/// The host could not find out where a cache is kept: a warning, never the job's failure.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct CacheUnknown(pub String);

/// The program around the engine. Lambda's binds jobs to launches in the ledger; by hand there is nothing to bind.
pub trait Host: Sync {
    /// Records that this run has the job, and what it takes to report the job lost if this process dies: its token. The caches
    /// are those that the job names, and the only ones that [`Host::cache`] is asked for. Called
    /// after GitLab handed it out and before anything of it runs; its time is limited to
    /// [`BIND_LIMIT`](crate::BIND_LIMIT), and a call that is cut off counts as refused.
    fn bind(
        &self,
        job: &JobIds,
        token: &Secret,
        caches: &NamedCaches,
    ) -> impl Future<Output = Result<(), BindRefused>> + Send;

    /// Takes the record back, if it is still this run's. Called after a bind that was refused or came late, or when the
    /// job turned out not to be ours.
    fn unbind(&self, job: &JobIds) -> impl Future<Output = ()> + Send;

    /// The job is accepted. Runs beside the job's first stages.
    fn accepted(&self, job: &JobIds) -> impl Future<Output = ()> + Send;

    /// Where a cache of the job's project is kept. `key` is a relative path of at most 512 bytes without `..` and without an
    /// empty part; the host adds which project's it is. It has thirty
    /// seconds.
    fn cache(
        &self,
        job: &JobIds,
        key: &str,
        what: CacheUse,
    ) -> impl Future<Output = Result<CachePlace, CacheUnknown>> + Send;
}
