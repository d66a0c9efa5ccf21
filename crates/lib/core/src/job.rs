//! Job rows: what GitLab said about a job, and what we did about it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::change::Due;
use crate::id::{JobKey, LaneId, LaunchId};
use crate::lane::TagSet;
use crate::limits;
use crate::status::JobStatus;
use crate::time::Timestamp;

/// What a job hook told us, in our words. Everything in it is text that others control: it is matched and shown,
/// and never selects a host, a path, an ARN or an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobEvent {
    /// The job.
    pub key: JobKey,
    /// Its status at the time of the hook.
    pub status: JobStatus,
    /// What routing looks at.
    pub facts: JobFacts,
    /// When GitLab created the job; `None` when the hook does not say (GitLab before 14.4).
    pub created_at: Option<Timestamp>,
    /// The runner that has the job.
    pub runner: Option<Taker>,
}

/// The runner that a hook names; the runner manager it never names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Taker {
    /// GitLab's runner id.
    pub id: u64,
    /// Whether one of our lanes asks as this runner, as far as the ledger knows.
    pub ours: bool,
}

impl Taker {
    /// A runner of which nothing is known.
    #[must_use]
    pub const fn stranger(id: u64) -> Self {
        Self { id, ours: false }
    }
}

/// What routing looks at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct JobFacts {
    /// The job's full name, as `parallel` and `matrix` make it.
    pub name: String,
    /// Its stage.
    #[serde(default)]
    pub stage: String,
    /// The branch, tag or merge request ref.
    #[serde(default, rename = "ref")]
    pub git_ref: String,
    /// The project's full path, from `project.path_with_namespace` or the repository's homepage.
    #[serde(default)]
    pub project_path: String,
    /// How many earlier tries of this job the pipeline holds (`retries_count`, 0 on old instances).
    #[serde(default)]
    pub retries: u32,
}

/// Where a job stands with us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// No live charge: the sweep or the next event charges it.
    Waiting,
    /// A launch is under way for it.
    Charged,
    /// A runner of ours has it.
    Bound,
    /// A runner that is not ours has it.
    Foreign,
    /// It is over.
    Ended,
    /// No lane of ours covers its tags, or routing says so: counted, never launched.
    NotOurs,
    /// Launches found nothing three times: one attempt an hour until it ends.
    Unserved,
}

/// When a row entered each state, for timelines.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct JobTimes {
    /// The first hook of the job was stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingested_at: Option<Timestamp>,
    /// See [`JobState::Waiting`]; the latest time, as for the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_at: Option<Timestamp>,
    /// See [`JobState::Charged`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub charged_at: Option<Timestamp>,
    /// See [`JobState::Bound`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound_at: Option<Timestamp>,
    /// See [`JobState::Foreign`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub foreign_at: Option<Timestamp>,
    /// See [`JobState::Ended`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// See [`JobState::NotOurs`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_ours_at: Option<Timestamp>,
    /// See [`JobState::Unserved`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unserved_at: Option<Timestamp>,
}

/// One job of the ledger (`job#<project id>#<job id>`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobRow {
    /// The revision, see [`crate::change`].
    pub rev: u64,
    /// GitLab's project id.
    pub project_id: u64,
    /// GitLab's job id.
    pub job_id: u64,
    /// The highest-ranked status that GitLab told us.
    pub gitlab_status: JobStatus,
    /// Where it stands with us.
    pub state: JobState,
    /// The lane that serves it, once routed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lane: Option<LaneId>,
    /// How many launches were charged to it so far.
    pub attempt: u32,
    /// How many launches in a row ended without a job while this one waited.
    #[serde(default)]
    pub fruitless: u32,
    /// Whether the default route sent it to its lane; what foreign runners take of such jobs is learned.
    #[serde(default)]
    pub by_default: bool,
    /// The launch that is charged to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub charge: Option<LaunchId>,
    /// The launch whose runner has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub launch: Option<LaunchId>,
    /// The last decision's reason.
    pub reason: String,
    /// What routing looks at.
    #[serde(flatten)]
    pub facts: JobFacts,
    /// The job's own tags, when the jobs API told us.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<TagSet>,
    /// When GitLab created the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
    /// The id of the runner that a hook named; with our own runners' ids it tells foreign jobs from late bindings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runner: Option<u64>,
    /// When the sweep looks at it.
    #[serde(flatten)]
    pub due: Due,
    /// Times of its states.
    #[serde(flatten)]
    pub times: JobTimes,
    /// When DynamoDB may delete the row (s since the epoch); only on rows with nothing left to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<i64>,
    /// Attributes of a newer release: kept as they are.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl JobRow {
    /// A row for a job that nobody told us about yet.
    #[must_use]
    pub fn new(key: JobKey, now: Timestamp) -> Self {
        Self {
            rev: 0,
            project_id: key.project,
            job_id: key.job,
            gitlab_status: JobStatus::Unknown("none".into()),
            state: JobState::Waiting,
            lane: None,
            attempt: 0,
            fruitless: 0,
            by_default: false,
            charge: None,
            launch: None,
            reason: String::new(),
            facts: JobFacts::default(),
            tags: None,
            created_at: None,
            runner: None,
            due: Due::never(),
            times: JobTimes { ingested_at: Some(now), ..JobTimes::default() },
            expires_at: None,
            extra: Map::new(),
        }
    }

    /// The job.
    #[must_use]
    pub const fn key(&self) -> JobKey {
        JobKey { project: self.project_id, job: self.job_id }
    }

    /// Enters a state at `now` for a reason.
    pub(crate) fn enter(&mut self, state: JobState, now: Timestamp, reason: impl Into<String>) {
        self.state = state;
        self.reason = reason.into();
        let at = match state {
            JobState::Waiting => &mut self.times.waiting_at,
            JobState::Charged => &mut self.times.charged_at,
            JobState::Bound => &mut self.times.bound_at,
            JobState::Foreign => &mut self.times.foreign_at,
            JobState::Ended => &mut self.times.ended_at,
            JobState::NotOurs => &mut self.times.not_ours_at,
            JobState::Unserved => &mut self.times.unserved_at,
        };
        *at = Some(now);
    }

    /// The sweep looks at the row at `at`.
    pub(crate) fn due_at(&mut self, at: Timestamp) {
        self.due = Due::at(&self.key().pk(), at);
        self.expires_at = None;
    }

    /// Nothing is left to do: the row may be deleted once it is as old as rows get.
    pub(crate) fn retire(&mut self, now: Timestamp) {
        self.due = Due::never();
        self.expires_at = Some((now + limits::KEEP_CLOSED_ROWS).epoch_secs());
    }
}
