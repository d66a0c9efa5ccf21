//! The ports: narrow traits, no type of the SDK in a signature.

use std::collections::HashMap;
use std::future::Future;

use runnerless_core::change::{BadRow, Item, Plan, Row, RowKey, decode};
use runnerless_core::drain::{DRAIN_PK, DrainRow, Draining, draining_of};
use runnerless_core::id::{JobKey, LaneId, LaunchId};
use runnerless_core::instance_row::{InstanceRow, instance_pk};
use runnerless_core::job::JobRow;
use runnerless_core::lane_row::{LaneRow, RunnerRow, lane_pk, runner_pk};
use runnerless_core::launch::LaunchRow;
use runnerless_core::live::{LIVE_PK, Live, STACK};
use runnerless_core::moves::Announce;
use runnerless_core::pool::{PoolRow, pool_pk};
use runnerless_core::project::{ProjectRow, ROUNDS_PK, Rounds, project_pk};
use runnerless_core::route::{BadMapRow, LaneEntry, Learned, MapRow};
use runnerless_core::time::Timestamp;
use zeroize::Zeroizing;

use crate::error::AwsError;

/// Rows as they were read, by primary key.
#[derive(Clone, Debug, Default)]
pub struct Rows(pub HashMap<String, Item>);

impl Rows {
    /// A job's row; `None` when there is none.
    ///
    /// # Errors
    /// A row that cannot be read.
    pub fn job(&self, key: JobKey) -> Result<Option<JobRow>, BadRow> {
        self.row(&key.pk())
    }

    /// A launch's row; `None` when there is none.
    ///
    /// # Errors
    /// A row that cannot be read.
    pub fn launch(&self, id: &LaunchId) -> Result<Option<LaunchRow>, BadRow> {
        self.row(&id.pk())
    }

    /// What is remembered under this key. A row that cannot be read is as good as none: it only makes the default
    /// route less clever.
    #[must_use]
    pub fn learned(&self, pk: &str) -> Option<Learned> {
        let item = self.0.get(pk)?.clone();
        serde_json::from_value(item.into()).ok()
    }

    /// A lane's row; `None` when there is none.
    ///
    /// # Errors
    /// A row that cannot be read.
    pub fn lane(&self, lane: &LaneId) -> Result<Option<LaneRow>, BadRow> {
        self.row(&lane_pk(lane))
    }

    /// The row of a runner of ours; `None` when there is none.
    ///
    /// # Errors
    /// A row that cannot be read.
    pub fn runner(&self, runner_id: u64) -> Result<Option<RunnerRow>, BadRow> {
        self.row(&runner_pk(runner_id))
    }

    /// Whether the runner of this id is one of ours, as far as it is known.
    #[must_use]
    pub fn is_ours(&self, runner_id: u64) -> bool {
        self.0.contains_key(&runner_pk(runner_id))
    }

    /// A project's row; `None` when there is none.
    ///
    /// # Errors
    /// A row that cannot be read.
    pub fn project(&self, project_id: u64) -> Result<Option<ProjectRow>, BadRow> {
        self.row(&project_pk(project_id))
    }

    /// Since when an instance that no launch names is watched; `None` before it was first seen.
    ///
    /// # Errors
    /// A row that cannot be read.
    pub fn instance(&self, id: &str) -> Result<Option<InstanceRow>, BadRow> {
        self.row(&instance_pk(id))
    }

    /// What is remembered of the listing as a whole; `None` before its first run.
    ///
    /// # Errors
    /// A row that cannot be read.
    pub fn rounds(&self) -> Result<Option<Rounds>, BadRow> {
        self.row(ROUNDS_PK)
    }

    /// How the stack drains, see [`draining_of`]; `None` when it does not.
    #[must_use]
    pub fn draining(&self) -> Option<Draining> {
        draining_of(self.0.get(DRAIN_PK))
    }

    /// The row that says how the stack drains; `None` before it ever did.
    ///
    /// # Errors
    /// A row that cannot be read.
    pub fn drain(&self) -> Result<Option<DrainRow>, BadRow> {
        self.row(DRAIN_PK)
    }

    /// The counts of live launches, of one lane and of the stack, none where nothing was counted; and whether the stack drains.
    /// Read with [`RowKey::ROOM`].
    #[must_use]
    pub fn live(&self, lane: &LaneId) -> Live {
        let count = |name: &str| self.0.get(LIVE_PK).and_then(|item| item.get(name)?.as_u64()).unwrap_or(0);
        Live { lane: count(lane.as_str()), stack: count(STACK), draining: self.draining() }
    }

    /// What the runs before remember of a group; `None` before its first.
    ///
    /// # Errors
    /// A row that cannot be read.
    pub fn pool(&self, group: &str) -> Result<Option<PoolRow>, BadRow> {
        self.row(&pool_pk(group))
    }

    fn row<R: Row>(&self, pk: &str) -> Result<Option<R>, BadRow> {
        self.0.get(pk).map(decode).transpose()
    }
}

/// Whether a plan was applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// All of it, by this call or by an earlier one whose answer was lost.
    All,
    /// None of it: a row is not as it was read. Load again and decide again.
    Conflict,
}

/// The ledger.
pub trait Ledger: Sync {
    /// Reads rows, strongly consistent. Keys without a row are left out.
    fn load(&self, keys: &[RowKey]) -> impl Future<Output = Result<Rows, AwsError>> + Send;

    /// Applies a plan whole or not at all, and adds its launches to the counts. An empty plan is applied by doing
    /// nothing.
    fn apply(&self, plan: &Plan) -> impl Future<Output = Result<Applied, AwsError>> + Send;

    /// Replaces the counts by what was counted: only the sweep does.
    fn recount(&self, counts: &[(String, u64)]) -> impl Future<Output = Result<(), AwsError>> + Send;

    /// Remembers, over what was remembered before.
    fn learn(&self, learned: &Learned) -> impl Future<Output = Result<(), AwsError>> + Send;

    /// The keys of one partition of the due index (see [`runnerless_core::change::shard_name`] and
    /// [`runnerless_core::lane_row::LANES`]) whose time is at or before `until`, the most urgent first, page after page
    /// until there are no more or `limit` of them.
    fn due(
        &self,
        partition: &str,
        until: Timestamp,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<DueRow>, AwsError>> + Send;
}

/// A row that is in the due index.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DueRow {
    /// When the sweep looks at it.
    pub at: Timestamp,
    /// Its primary key.
    pub pk: String,
}

/// The mapping, as routing reads it.
pub trait Mapping: Sync {
    /// The rows of one partition, see [`runnerless_core::route::partitions`].
    fn rows(&self, partition: &str) -> impl Future<Output = Result<Vec<Result<MapRow, BadMapRow>>, AwsError>> + Send;

    /// The lane entries. One that cannot be read is a lane that is not known, and no lane that is gone.
    fn lanes(&self) -> impl Future<Output = Result<Vec<Result<LaneEntry, BadMapRow>>, AwsError>> + Send;
}

/// Secrets by name, below a path.
pub trait Parameters: Sync {
    /// Every parameter below `path`, decrypted, by its name relative to `path`. One call (and its pages).
    fn below(&self, path: &str) -> impl Future<Output = Result<HashMap<String, Zeroizing<String>>, AwsError>> + Send;
}

/// Whether a token was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// It is.
    New,
    /// There was one already, which stays.
    There,
}

/// Tokens of lanes that the sweep stores itself, because it made their runners.
pub trait TokenStore: Sync {
    /// Stores a token under its whole name, encrypted, if there is none.
    fn add(&self, name: &str, value: &Zeroizing<String>) -> impl Future<Output = Result<Stored, AwsError>> + Send;

    /// Deletes it. One that is not there is as good as deleted.
    fn remove(&self, name: &str) -> impl Future<Output = Result<(), AwsError>> + Send;
}

/// What is announced on the bus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// What happened.
    pub what: Announce,
    /// To which job.
    pub job: JobKey,
    /// The launch that has it, as its row says: who is told reads both at once.
    pub launch: Option<LaunchId>,
}

impl Announcement {
    /// The event's `source`.
    pub const SOURCE: &'static str = "runnerless.ingest";

    /// The event's `detail-type`; the template's rules match it.
    #[must_use]
    pub const fn detail_type(&self) -> &'static str {
        match self.what {
            Announce::Pending => "JobPending",
            Announce::Finished => "JobFinished",
        }
    }

    /// The event's `detail`: the job's key, a launch's id, and nothing that others control.
    #[must_use]
    pub fn detail(&self) -> String {
        let mut detail = serde_json::json!({"v": 1, "job": self.job});
        if let Some(launch) = &self.launch {
            detail["launch"] = launch.as_str().into();
        }
        detail.to_string()
    }
}

/// The event bus.
pub trait Bus: Sync {
    /// Announces. An entry that the bus rejected is an error although AWS answers 200 for it.
    fn announce(&self, announcement: Announcement) -> impl Future<Output = Result<(), AwsError>> + Send;
}

/// What the answer to an invoke means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invoked {
    /// AWS queued it.
    Accepted,
    /// AWS asks to slow down: nothing was queued.
    Throttled,
}

/// Starts functions.
pub trait Invoker: Sync {
    /// Queues an asynchronous invocation. A tenant id is passed to functions that isolate tenants, and to no others:
    /// AWS refuses both mistakes.
    fn start(
        &self,
        function: &str,
        payload: &str,
        tenant: Option<&str>,
    ) -> impl Future<Output = Result<Invoked, AwsError>> + Send;
}
