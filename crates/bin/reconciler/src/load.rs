//! What a sweep looks at: every live launch, and the jobs that are due.

use std::collections::{BTreeMap, HashMap};

use runnerless_aws::AwsError;
use runnerless_aws::ports::{DueRow, Ledger, Rows};
use runnerless_core::change::{RowKey, SHARDS, shard_name};
use runnerless_core::id::{JobKey, LaunchId};
use runnerless_core::job::JobRow;
use runnerless_core::launch::{LaunchRow, LaunchState};
use runnerless_core::live::STACK;
use runnerless_core::time::Timestamp;

/// Most rows of one shard that one run looks at; the most urgent come first. Sixteen shards hold far more than the caps
/// let live.
const PER_SHARD: usize = 500;
/// Most due jobs that one run acts on: each costs a few calls, and a run has less than a minute.
const JOBS: usize = 400;

/// What was loaded.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// Due jobs, the most urgent first, and those that live launches are charged to.
    pub jobs: HashMap<JobKey, JobRow>,
    /// The due ones among them, the most urgent first.
    pub due: Vec<JobKey>,
    /// Every live launch, and those that the jobs name.
    pub launches: HashMap<LaunchId, LaunchRow>,
    /// Rows that cannot be read: reported, and left alone.
    pub unreadable: Vec<String>,
    /// Whether more was due than one run looks at.
    pub more: bool,
}

impl Loaded {
    /// The launches that are not over.
    pub(crate) fn live(&self) -> impl Iterator<Item = &LaunchRow> {
        self.launches.values().filter(|launch| launch.state != LaunchState::Closed)
    }
}

/// Loads.
///
/// # Errors
/// The ledger is out of reach.
pub(crate) async fn load(ledger: &impl Ledger, now: Timestamp) -> Result<Loaded, AwsError> {
    let mut open = Vec::new();
    let mut more = false;
    for shard in 0..SHARDS {
        let rows = ledger.due(&shard_name(shard), Timestamp(i64::MAX), PER_SHARD).await?;
        more |= rows.len() == PER_SHARD;
        open.extend(rows);
    }
    open.sort();
    let mut loaded = Loaded { more, ..Loaded::default() };
    let launches: Vec<RowKey> = open.iter().filter_map(launch_key).collect();
    take_launches(&ledger.load(&launches).await?, &launches, &mut loaded);
    let mut due: Vec<JobKey> = open.iter().filter(|row| row.at <= now).filter_map(job_key).collect();
    loaded.more |= due.len() > JOBS;
    due.truncate(JOBS);
    let charged = loaded.launches.values().filter_map(|launch| launch.charged_to);
    let keys: Vec<RowKey> = due.iter().copied().chain(charged).map(RowKey::Job).collect();
    take_jobs(&ledger.load(&keys).await?, &keys, &mut loaded);
    // The index may be behind or cut off: what is not in it is not gone until its row says so.
    let named = named_launches(&loaded);
    take_launches(&ledger.load(&named).await?, &named, &mut loaded);
    // The index may be behind: a row that is not due any more is not acted on.
    loaded.due = due.into_iter().filter(|key| loaded.jobs.contains_key(key)).collect();
    Ok(loaded)
}

/// Puts the counts right by what was seen.
///
/// # Errors
/// The ledger is out of reach.
pub(crate) async fn recount(ledger: &impl Ledger, loaded: &Loaded) -> Result<(), AwsError> {
    if loaded.more {
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

/// Launches that jobs name and that the index did not show.
fn named_launches(loaded: &Loaded) -> Vec<RowKey> {
    let named = loaded.jobs.values().flat_map(|job| job.charge.iter().chain(&job.launch));
    let missing = named.filter(|id| !loaded.launches.contains_key(id));
    missing.map(|id| RowKey::Launch(id.clone())).collect()
}

fn launch_key(row: &DueRow) -> Option<RowKey> {
    row.pk.strip_prefix("launch#").map(|id| RowKey::Launch(LaunchId::new(id)))
}

fn job_key(row: &DueRow) -> Option<JobKey> {
    let (project, job) = row.pk.strip_prefix("job#")?.split_once('#')?;
    Some(JobKey { project: project.parse().ok()?, job: job.parse().ok()? })
}

fn take_launches(rows: &Rows, keys: &[RowKey], loaded: &mut Loaded) {
    for key in keys {
        let RowKey::Launch(id) = key else { continue };
        match rows.launch(id) {
            Ok(Some(row)) => drop(loaded.launches.insert(id.clone(), row)),
            Ok(None) => {}
            Err(bad) => loaded.unreadable.push(bad.pk),
        }
    }
}

fn take_jobs(rows: &Rows, keys: &[RowKey], loaded: &mut Loaded) {
    for key in keys {
        let RowKey::Job(id) = key else { continue };
        match rows.job(*id) {
            Ok(Some(row)) => drop(loaded.jobs.insert(*id, row)),
            Ok(None) => {}
            Err(bad) => loaded.unreadable.push(bad.pk),
        }
    }
}
