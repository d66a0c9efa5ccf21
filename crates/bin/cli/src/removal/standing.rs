//! What a stack that drains still has: by the ledger, and by the sweep's report.

use runnerless_aws::ports::Ledger;
use runnerless_aws_admin::ports::{Answered, FunctionCalls, RemoteError};
use runnerless_core::change::{RowKey, SHARDS, shard_name};
use runnerless_core::id::{JobKey, LaneId, LaunchId};
use runnerless_core::job::JobState;
use runnerless_core::lane_row::LANES;
use runnerless_core::launch::LaunchState;
use runnerless_core::status::JobStatus;
use runnerless_core::time::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::named;
use crate::error::{CliError, counted};

/// Most keys that are read of one partition of the index: what is beyond is not known to be over.
const MOST: usize = 20_000;
/// Most items of a sweep that are passed on.
const HELD: usize = 5;

/// What one sweep said.
#[derive(Debug, Default)]
pub(super) struct Swept {
    /// Whether it knew that the stack drains.
    pub(super) drains: bool,
    /// The instances that have not ended; `None` when EC2 did not say.
    pub(super) instances: Option<u64>,
    /// What it could not do, in words.
    pub(super) held: Vec<String>,
}

#[derive(Deserialize)]
struct Report {
    #[serde(default)]
    draining: Value,
    #[serde(default)]
    instances: Option<u64>,
    items: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    row: String,
    action: String,
    result: String,
    #[serde(default)]
    why: Option<String>,
}

impl Swept {
    /// Has the deployed function sweep. One that failed says so in `held`, and the next may do better.
    pub(super) async fn ask(functions: &impl FunctionCalls, reconciler: &str) -> Result<Self, CliError> {
        let text = match functions.call(reconciler, r#"{"dry_run":false}"#).await? {
            Answered::Value(text) => text,
            Answered::Failed { name, message } => {
                return Ok(Self { drains: true, instances: None, held: vec![format!("{name}: {message}")] });
            }
        };
        let read = serde_json::from_str(&text);
        let report: Report = read.map_err(|error| RemoteError::Failed {
            operation: "reading the reconciler's report",
            source: Box::new(error),
        })?;
        let undone = report.items.iter().filter(|item| matches!(item.result.as_str(), "held" | "failed" | "left"));
        let words = undone.map(|Item { row, action, why, result }| {
            format!("{action} {row} {result}: {}", why.as_deref().unwrap_or("its time was up"))
        });
        Ok(Self { drains: report.draining.is_string(), instances: report.instances, held: words.take(HELD).collect() })
    }
}

/// What the ledger says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Standing {
    waiting: Vec<JobKey>,
    unbound: Vec<LaunchId>,
    bound: Vec<JobKey>,
    ending: Vec<LaunchId>,
    lanes: Vec<LaneId>,
    unreadable: Vec<String>,
    cut_off: bool,
}

impl Standing {
    /// Reads every row with something left to do.
    pub(super) async fn read(ledger: &impl Ledger) -> Result<Self, CliError> {
        let mut standing = Self::default();
        let (mut jobs, mut launches) = (Vec::new(), Vec::new());
        for shard in (0..SHARDS).map(shard_name) {
            let rows = ledger.due(&shard, Timestamp(i64::MAX), MOST).await?;
            standing.cut_off |= rows.len() >= MOST;
            for row in rows {
                if let Some(id) = row.pk.strip_prefix("launch#") {
                    launches.push(LaunchId::new(id));
                } else if let Some(key) = row.pk.strip_prefix("job#").and_then(|key| key.replace('#', "/").parse().ok())
                {
                    jobs.push(key);
                }
            }
        }
        standing.read_launches(ledger, launches).await?;
        standing.read_jobs(ledger, jobs).await?;
        let lanes = ledger.due(LANES, Timestamp(i64::MAX), MOST).await?;
        standing.lanes.extend(lanes.iter().filter_map(|row| row.pk.strip_prefix("lane#")).map(LaneId::new));
        Ok(standing)
    }

    async fn read_launches(&mut self, ledger: &impl Ledger, ids: Vec<LaunchId>) -> Result<(), CliError> {
        if ids.is_empty() {
            return Ok(());
        }
        let rows = ledger.load(&ids.iter().cloned().map(RowKey::Launch).collect::<Vec<_>>()).await?;
        for id in ids {
            match rows.launch(&id) {
                Ok(Some(row)) => match row.state {
                    LaunchState::Charged | LaunchState::Starting | LaunchState::Polling => self.unbound.push(id),
                    LaunchState::Bound => self.bound.extend(row.bound_job),
                    LaunchState::Closing => self.ending.push(id),
                    // The index is behind.
                    LaunchState::Closed => {}
                },
                Ok(None) => {}
                Err(bad) => self.unreadable.push(bad.pk),
            }
        }
        Ok(())
    }

    async fn read_jobs(&mut self, ledger: &impl Ledger, keys: Vec<JobKey>) -> Result<(), CliError> {
        if keys.is_empty() {
            return Ok(());
        }
        let rows = ledger.load(&keys.iter().copied().map(RowKey::Job).collect::<Vec<_>>()).await?;
        for key in keys {
            match rows.job(key) {
                Ok(Some(row)) => {
                    let has_none = matches!(row.state, JobState::Waiting | JobState::Unserved | JobState::Charged);
                    if has_none && row.gitlab_status == JobStatus::Pending {
                        self.waiting.push(key);
                    }
                }
                Ok(None) => {}
                Err(bad) => self.unreadable.push(bad.pk),
            }
        }
        Ok(())
    }

    /// What keeps the stack from being deleted, in words.
    pub(super) fn open(&self, instances: Option<u64>, without_gitlab: bool) -> Vec<String> {
        let mut open = Vec::new();
        let mut some = |n: usize, one, many, names: &mut dyn Iterator<Item = String>| {
            if n > 0 {
                open.push(named(n, one, many, names));
            }
        };
        let texts = |ids: &[LaunchId]| ids.iter().map(LaunchId::to_string).collect::<Vec<_>>().into_iter();
        some(self.bound.len(), "job that runs", "jobs that run", &mut self.bound.iter().map(JobKey::to_string));
        some(self.unbound.len(), "launch without a job", "launches without a job", &mut texts(&self.unbound));
        if !without_gitlab {
            some(self.ending.len(), "launch that ends", "launches that end", &mut texts(&self.ending));
            let lanes = &mut self.lanes.iter().map(LaneId::to_string);
            some(self.lanes.len(), "lane at GitLab", "lanes at GitLab", lanes);
        }
        let unreadable = &mut self.unreadable.iter().cloned();
        some(self.unreadable.len(), "row that cannot be read", "rows that cannot be read", unreadable);
        match instances {
            Some(0) => {}
            Some(n) => open.push(counted(usize::try_from(n).unwrap_or(usize::MAX), "instance", "instances")),
            None => open.push("EC2's word about instances".to_owned()),
        }
        if self.cut_off {
            open.push("more rows than are read at once".to_owned());
        }
        open
    }

    /// Jobs that wait, in words; `None` without any.
    pub(super) fn waiting(&self) -> Option<String> {
        let n = self.waiting.len();
        let jobs = named(n, "job waits", "jobs wait", self.waiting.iter().map(JobKey::to_string));
        (n > 0).then(|| format!("{jobs} and will get no runner of this stack; GitLab shows them as pending"))
    }
}
