//! What a sweep looks at: every live launch, and the jobs that are due.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use runnerless_aws::AwsError;
use runnerless_aws::ports::{DueRow, Ledger, Rows};
use runnerless_core::change::{RowKey, SHARDS, shard_name};
use runnerless_core::drain::Draining;
use runnerless_core::id::{JobKey, LaunchId};
use runnerless_core::job::{JobRow, JobState};
use runnerless_core::launch::{LaunchRow, LaunchState};
use runnerless_core::limits;
use runnerless_core::live::STACK;
use runnerless_core::time::Timestamp;

use crate::window::choose;

/// Most keys of one shard that one run reads: 320,000 in all, which are some 25 MB. The due ones come first.
const KEYS_PER_SHARD: usize = 20_000;
/// Shards that are read at once: a page of a megabyte is some ten times that while it is taken apart.
const SHARDS_AT_ONCE: usize = 4;
/// Most due jobs that one run acts on: each costs a handful of calls, and a run has less than a minute.
const JOBS: usize = 1_000;
/// Most launches that one run looks at: ten times the stack's usual cap.
const LAUNCHES: usize = 4_000;

/// What was loaded.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// Due jobs, and those that live launches are charged to.
    pub jobs: HashMap<JobKey, JobRow>,
    /// The due ones among them, the most urgent first.
    pub due: Vec<JobKey>,
    /// Every live launch, and those that the jobs name.
    pub launches: HashMap<LaunchId, LaunchRow>,
    /// Rows that cannot be read: reported, and left alone.
    pub unreadable: BTreeSet<String>,
    /// Whether more was due than one run looks at.
    pub more: bool,
    /// Whether there may be live launches that are not among [`Self::launches`].
    pub hides_launches: bool,
    /// How the stack drains, if it does.
    pub draining: Option<Draining>,
}

impl Loaded {
    /// The launches that are not over.
    pub(crate) fn live(&self) -> impl Iterator<Item = &LaunchRow> {
        self.launches.values().filter(|launch| launch.state != LaunchState::Closed)
    }

    async fn read_launches(&mut self, ledger: &impl Ledger, ids: Vec<LaunchId>) -> Result<(), AwsError> {
        let keys: Vec<RowKey> = ids.iter().cloned().map(RowKey::Launch).collect();
        let rows = read(ledger, &keys).await?;
        for id in ids {
            match rows.launch(&id) {
                Ok(Some(row)) => drop(self.launches.insert(id, row)),
                Ok(None) => {}
                Err(bad) => drop(self.unreadable.insert(bad.pk)),
            }
        }
        Ok(())
    }

    async fn read_jobs(&mut self, ledger: &impl Ledger, keys: &[JobKey]) -> Result<(), AwsError> {
        let rows = read(ledger, &keys.iter().copied().map(RowKey::Job).collect::<Vec<_>>()).await?;
        for key in keys {
            match rows.job(*key) {
                Ok(Some(row)) => drop(self.jobs.insert(*key, row)),
                Ok(None) => {}
                Err(bad) => drop(self.unreadable.insert(bad.pk)),
            }
        }
        Ok(())
    }
}

/// Loads.
///
/// # Errors
/// The ledger is out of reach.
pub(crate) async fn load(ledger: &impl Ledger, draining: Option<Draining>, now: Timestamp) -> Result<Loaded, AwsError> {
    let Index { open, cut_off } = index(ledger, now).await?;
    let launches: Vec<LaunchId> = open.iter().filter_map(launch_id).collect();
    let due: Vec<JobKey> = open.iter().filter(|row| row.at <= now).filter_map(job_key).collect();
    let mut loaded = Loaded {
        more: cut_off || due.len() > JOBS || launches.len() > LAUNCHES,
        hides_launches: cut_off || launches.len() > LAUNCHES,
        draining,
        ..Loaded::default()
    };
    loaded.read_launches(ledger, choose(launches, LAUNCHES, now)).await?;
    // A launch in the index is open, whatever its row is.
    loaded.hides_launches |= !loaded.unreadable.is_empty();
    let due = choose(due, JOBS, now);
    loaded.read_jobs(ledger, &due).await?;
    // The index may be behind: a row that is gone is not acted on.
    loaded.due = due.into_iter().filter(|key| loaded.jobs.contains_key(key)).collect();
    let owners = owners(&loaded);
    loaded.read_jobs(ledger, &owners).await?;
    // The index may be behind or cut off: what is not in it is not gone until its row says so.
    let named = named_launches(&loaded);
    loaded.read_launches(ledger, named).await?;
    Ok(loaded)
}

/// The index as far as a run reads it.
struct Index {
    /// The most urgent first.
    open: Vec<DueRow>,
    /// Whether there is more of it.
    cut_off: bool,
}

/// Reads every shard up to the time at which the last of the live launches is due.
async fn index(ledger: &impl Ledger, now: Timestamp) -> Result<Index, AwsError> {
    let until = now + limits::LAUNCH_WINDOW;
    let shard = async |number| ledger.due(&shard_name(number), until, KEYS_PER_SHARD).await;
    let shards: Vec<Vec<DueRow>> = stream::iter(0..SHARDS).map(shard).buffered(SHARDS_AT_ONCE).try_collect().await?;
    let cut_off = shards.iter().any(|rows| rows.len() >= KEYS_PER_SHARD);
    let mut open: Vec<DueRow> = shards.into_iter().flatten().collect();
    open.sort();
    Ok(Index { open, cut_off })
}

/// Reads rows; none are no call.
pub(crate) async fn read(ledger: &impl Ledger, keys: &[RowKey]) -> Result<Rows, AwsError> {
    if keys.is_empty() { Ok(Rows::default()) } else { ledger.load(keys).await }
}

/// Puts the counts right by what was seen, if that is every live launch: unknown is not zero.
///
/// # Errors
/// The ledger is out of reach.
pub(crate) async fn recount(ledger: &impl Ledger, loaded: &Loaded) -> Result<(), AwsError> {
    if loaded.hides_launches {
        return Ok(());
    }
    let mut counts: BTreeMap<String, u64> = BTreeMap::from([(STACK.to_owned(), 0)]);
    for launch in loaded.live() {
        for name in [launch.lane.as_str(), STACK] {
            *counts.entry(name.to_owned()).or_insert(0) += 1;
        }
    }
    ledger.recount(&counts.into_iter().collect::<Vec<_>>()).await
}

/// The jobs that launches under way are charged to: they tell which of these are free. Nobody asks while no job waits.
fn owners(loaded: &Loaded) -> Vec<JobKey> {
    let waits = |key| matches!(loaded.jobs[key].state, JobState::Waiting | JobState::Unserved);
    if !loaded.due.iter().any(waits) {
        return Vec::new();
    }
    let unbound = loaded.launches.values().filter(|launch| launch.is_unbound_live());
    let owners: BTreeSet<JobKey> = unbound.filter_map(|launch| launch.charged_to).collect();
    owners.into_iter().filter(|key| !loaded.jobs.contains_key(key)).collect()
}

/// Launches that jobs name and that the index did not show.
fn named_launches(loaded: &Loaded) -> Vec<LaunchId> {
    let named = loaded.jobs.values().flat_map(|job| job.charge.iter().chain(&job.launch));
    let missing: BTreeSet<&LaunchId> = named.filter(|id| !loaded.launches.contains_key(id)).collect();
    missing.into_iter().cloned().collect()
}

fn launch_id(row: &DueRow) -> Option<LaunchId> {
    row.pk.strip_prefix("launch#").map(LaunchId::new)
}

fn job_key(row: &DueRow) -> Option<JobKey> {
    let (project, job) = row.pk.strip_prefix("job#")?.split_once('#')?;
    Some(JobKey { project: project.parse().ok()?, job: job.parse().ok()? })
}
