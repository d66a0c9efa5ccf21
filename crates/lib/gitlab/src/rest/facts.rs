//! A job as the jobs API shows it.

use runnerless_core::id::JobKey;
use runnerless_core::lane::TagSet;
use runnerless_core::status::JobStatus;
use runnerless_core::time::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use crate::webhook::time;

/// A job as the jobs API shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiJob {
    /// The job.
    pub key: JobKey,
    /// Its status now.
    pub status: JobStatus,
    /// The job's own tags; `None` when this GitLab does not say (before 13.6). A tag that holds `#` is kept: no lane can
    /// have it, so none covers it.
    pub tags: Option<TagSet>,
    /// The runner that has it.
    pub runner: Option<u64>,
    /// The system id of the runner manager that has it (since GitLab 17.0).
    pub system_id: Option<String>,
    /// Its full name.
    pub name: String,
    /// Its stage.
    pub stage: String,
    /// The branch, tag or merge request ref.
    pub git_ref: String,
    /// When it was created.
    pub created_at: Option<Timestamp>,
}

/// The fields that we read; the answer has dozens.
#[derive(Deserialize)]
pub(super) struct Wire {
    status: String,
    #[serde(default)]
    tag_list: Option<TagSet>,
    #[serde(default)]
    runner: Option<WireRunner>,
    #[serde(default)]
    runner_manager: Option<WireManager>,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    stage: Option<String>,
    #[serde(default, rename = "ref")]
    git_ref: Option<String>,
    #[serde(default)]
    created_at: Value,
}

#[derive(Deserialize)]
struct WireRunner {
    id: u64,
}

#[derive(Deserialize)]
struct WireManager {
    #[serde(default)]
    system_id: Option<String>,
}

impl Wire {
    pub(super) fn job(self, key: JobKey) -> ApiJob {
        ApiJob {
            key,
            status: JobStatus::parse(&self.status),
            tags: self.tag_list,
            runner: self.runner.map(|runner| runner.id),
            system_id: self.runner_manager.and_then(|manager| manager.system_id),
            name: self.name.unwrap_or_default(),
            stage: self.stage.unwrap_or_default(),
            git_ref: self.git_ref.unwrap_or_default(),
            created_at: time(&self.created_at),
        }
    }
}
