//! Backfill: with an API token, the pending jobs of every known project are listed, so that a job is found whose hook never
//! came.
//!
//! A run makes so many calls and no more; what it does not reach is due to the next one, which begins with it. The projects
//! in which something happens come first and often, and one place in four is the others'. How long each project may wait
//! for its listing follows from that: the bound is printed, counted, and an alarm when it is longer than promised.

mod jobs;
mod listing;
mod report;
mod visit;

use runnerless_aws::AwsError;
use runnerless_aws::ports::Ledger;
use runnerless_core::change::{Plan, RowKey};
use runnerless_core::id::JobKey;
use runnerless_core::project::{Census, PARTITION, ProjectRow, Rounds, bound, in_order, project_of};
use runnerless_core::time::{Millis, Timestamp};
use runnerless_lambda_kit::Clock as _;
use runnerless_router::Ports;

pub use listing::Listing;
pub use report::Listed;

use self::visit::{Budget, Visitor};
use crate::report::{Item, Result as Outcome};

/// Most due projects that one run looks at.
const DUE: usize = 1000;
/// Most projects that are counted.
const COUNTED: usize = 10_000;
/// So much of a run is the listing's at most: the rest is for the jobs that are known.
const SHARE: Millis = Millis::secs(20);
/// So much of a run is kept for the jobs that are known, even where the listing would have time.
const KEPT: Millis = Millis::secs(15);

/// What a backfill did.
#[derive(Debug, Default)]
pub(crate) struct Backfill {
    /// Its part of the report.
    pub(crate) listed: Option<Listed>,
    /// The visits.
    pub(crate) items: Vec<Item>,
    /// Jobs that got a row.
    pub(crate) found: Vec<JobKey>,
    /// Rows that cannot be read.
    pub(crate) unreadable: Vec<String>,
}

impl Backfill {
    /// One that the ledger ended.
    pub(crate) fn failed(error: &AwsError) -> Self {
        let result = Outcome::Failed(error.name().to_owned());
        let item = Item { row: PARTITION.to_owned(), action: "list", reason: "projects are due".to_owned(), result };
        Self { items: vec![item], ..Self::default() }
    }

    /// How many projects were listed to the end.
    fn visits(&self) -> u32 {
        let done = self.items.iter().filter(|item| item.result == Outcome::Done).count();
        u32::try_from(done).unwrap_or(u32::MAX)
    }
}

/// Lists what is due, within the run's calls and time. Without an API token nothing is done.
///
/// # Errors
/// The ledger is out of reach. What was found until then has its rows, which are due.
pub(crate) async fn backfill<P: Ports>(
    ports: &P,
    listing: &Listing,
    dry_run: bool,
    ends_at: Timestamp,
) -> Result<Backfill, AwsError> {
    let Some(jobs) = ports.jobs().filter(|_| listing.calls > 0) else { return Ok(Backfill::default()) };
    let (ledger, now) = (ports.ledger(), ports.clock().now());
    let before = ledger.load(&[RowKey::Rounds]).await?.rounds()?;
    let mut rounds = before.clone().unwrap_or_default();
    let mut done = Backfill::default();
    let due = due(ledger, now, &mut done).await?;
    if rounds.is_stale(now) {
        rounds.counted(census(ledger, now).await?, now);
    }
    let budget = Budget { calls: listing.calls, until: (now + SHARE).min(ends_at - KEPT) };
    let mut visitor = Visitor { ports, jobs, listing, budget, failures: 0, late: Millis(0), stop: None, done };
    for row in in_order(due, now) {
        if dry_run {
            visitor.plan(&row, now);
        } else if visitor.goes_on() {
            visitor.visit(&row).await?;
        } else {
            visitor.leave(&row, now);
        }
    }
    let out_of_time = visitor.is_out_of_time();
    let Visitor { budget, late, stop, mut done, .. } = visitor;
    let calls = listing.calls - budget.calls;
    rounds.learned(done.visits(), calls);
    rounds.reached(calls, listing.calls, out_of_time);
    rounds.bound = bound(rounds.census, rounds.calls, rounds.per_visit).unwrap_or_default();
    let listed = Listed::new(&rounds, calls, late, stop);
    if !dry_run {
        remember(ledger, rounds, before.as_ref()).await?;
        listed.publish(done.found.len());
    }
    done.listed = Some(listed);
    Ok(done)
}

/// The due projects, as their rows say.
async fn due(ledger: &impl Ledger, now: Timestamp, done: &mut Backfill) -> Result<Vec<ProjectRow>, AwsError> {
    let rows = rows(ledger, now, DUE, &mut done.unreadable).await?;
    // The index may be behind.
    Ok(rows.into_iter().filter(|row| row.due.next_check_at.is_some_and(|at| at <= now)).collect())
}

/// How many projects of each kind are known.
async fn census(ledger: &impl Ledger, now: Timestamp) -> Result<Census, AwsError> {
    let mut census = Census::default();
    // Rows that cannot be read are reported when they are due.
    let rows = rows(ledger, Timestamp(i64::MAX), COUNTED, &mut Vec::new()).await?;
    rows.iter().for_each(|row| census.add(row.class(now)));
    Ok(census)
}

async fn rows(
    ledger: &impl Ledger,
    until: Timestamp,
    most: usize,
    unreadable: &mut Vec<String>,
) -> Result<Vec<ProjectRow>, AwsError> {
    let keys = ledger.due(PARTITION, until, most).await?;
    let ids: Vec<u64> = keys.iter().filter_map(|key| project_of(&key.pk)).collect();
    let keys: Vec<RowKey> = ids.iter().copied().map(RowKey::Project).collect();
    let read = ledger.load(&keys).await?;
    let mut rows = Vec::new();
    for id in ids {
        match read.project(id) {
            Ok(row) => rows.extend(row),
            Err(bad) => unreadable.push(bad.pk),
        }
    }
    Ok(rows)
}

/// Another sweep that runs at the same time may be faster: what it learned is as good.
async fn remember(ledger: &impl Ledger, rounds: Rounds, before: Option<&Rounds>) -> Result<(), AwsError> {
    let plan = Plan::because("a run of the listing").with_some(rounds.change(before));
    ledger.apply(&plan).await.map(|_| ())
}
