//! A job's hook into its row, and the row's news onto the bus, in this order.

use runnerless_aws::AwsError;
use runnerless_aws::ports::{Announcement, Applied, Bus, Ledger};
use runnerless_core::chain::chain;
use runnerless_core::change::RowKey;
use runnerless_core::id::JobKey;
use runnerless_core::job::{JobEvent, JobRow, JobState};
use runnerless_core::moves::{self, Recorded};
use runnerless_core::status::JobStatus;
use runnerless_core::time::{Millis, Timestamp};
use runnerless_gitlab::proof::Proof;
use runnerless_lambda_kit::{Clock, within};

use crate::SERVICE;
use crate::outcome::Announced;

/// How often a hook is decided again because the row changed in between. Each of the other hooks of a job writes its row
/// once at most, and beside them a router, a runner and the sweep do.
const TRIES: usize = 12;

/// A decision that stands in the ledger.
pub(crate) struct Stored {
    /// Whether there was a row before.
    pub(crate) known: bool,
    /// The decision.
    pub(crate) recorded: Recorded,
}

impl Stored {
    /// Whether this hook changed the row.
    pub(crate) fn changed(&self) -> bool {
        !self.recorded.plan.changes.is_empty()
    }
}

/// Stores what the hook says; `None` when the row is known to be of a project that the hook's proof does not cover: path and
/// ids are two fields of one body, and only together they say whose job it is.
///
/// # Errors
/// The ledger is out of reach: nothing is known to be stored.
pub(crate) async fn store(
    ledger: &impl Ledger,
    event: &JobEvent,
    proof: &Proof,
    now: Timestamp,
) -> Result<Option<Stored>, AwsError> {
    if !moves::concerns_rows(&event.status) {
        return Ok(Some(Stored { known: false, recorded: moves::record(None, event, now) }));
    }
    let mut in_doubt = false;
    let mut guessed = of_a_new_job(event, now);
    for _ in 0..TRIES {
        let (existing, recorded) = match guessed.take() {
            Some(recorded) => (None, recorded),
            None => {
                let existing = ledger.load(&[RowKey::Job(event.key)]).await?.job(event.key)?;
                let path = existing.as_ref().map(|row| row.facts.project_path.as_str());
                if path.is_some_and(|path| !path.is_empty() && !proof.covers(path)) {
                    return Ok(None);
                }
                let event = with_its_taker(ledger, existing.as_ref(), event).await?;
                let recorded = moves::record(existing.as_ref(), &event, now);
                (existing, recorded)
            }
        };
        match ledger.apply(&recorded.plan).await {
            Ok(Applied::All) => {
                return Ok(Some(Stored { known: existing.is_some(), recorded }));
            }
            Ok(Applied::Conflict) => {}
            // The write may have been made all the same: the row tells, and the hook is then a repetition of itself.
            Err(AwsError::Unavailable { .. }) if !in_doubt => in_doubt = true,
            Err(error) => return Err(error),
        }
    }
    Err(AwsError::Contended(event.key.pk()))
}

/// What is stored of a job that has no row yet. A `pending` is nearly always a job's first hook that concerns rows, and its
/// row is written on condition that there is none: whoever knows the job already refuses it, and then it is read.
fn of_a_new_job(event: &JobEvent, now: Timestamp) -> Option<Recorded> {
    let first = event.status == JobStatus::Pending;
    first.then(|| moves::record(None, event, now)).filter(|recorded| !recorded.plan.changes.is_empty())
}

/// Whether the runner that a `running` hook names is ours. Only a job without a binding makes that worth a read.
async fn with_its_taker(ledger: &impl Ledger, row: Option<&JobRow>, event: &JobEvent) -> Result<JobEvent, AwsError> {
    let mut event = event.clone();
    let bound = row.is_some_and(|row| row.state == JobState::Bound);
    if let Some(runner) = event.runner.as_mut().filter(|_| event.status == JobStatus::Running && !bound) {
        runner.ours = ledger.load(&[RowKey::Runner(runner.id)]).await?.is_ours(runner.id);
    }
    Ok(event)
}

/// What is learned makes the default route cleverer and nothing depends on it: a failure is worth a line.
pub(crate) async fn learn(ledger: &impl Ledger, clock: &impl Clock, job: JobKey, recorded: &Recorded, limit: Millis) {
    let Some(learned) = &recorded.learn else { return };
    let error = match within(clock, limit, ledger.learn(learned)).await {
        Some(Ok(())) => return,
        Some(Err(error)) => chain(&error),
        None => format!("no answer within {} ms", limit.0),
    };
    tracing::warn!(target: "runnerless", service = SERVICE, "job.key" = %job, error, "a foreign runner's job was not remembered");
}

/// Tells the bus, for so long at most.
pub(crate) async fn announce(
    bus: &impl Bus,
    clock: &impl Clock,
    job: JobKey,
    recorded: &Recorded,
    limit: Millis,
) -> Announced {
    let Some(what) = recorded.announce else { return Announced::NotNeeded };
    let launch = recorded.plan.leaves::<JobRow>(&job.pk()).and_then(|row| row.launch);
    match within(clock, limit, bus.announce(Announcement { what, job, launch })).await {
        Some(Ok(())) => Announced::Told(what),
        Some(Err(error)) => Announced::Failed(chain(&error)),
        None => Announced::Failed(format!("no answer within {} ms", limit.0)),
    }
}
