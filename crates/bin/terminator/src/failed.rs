//! An asynchronous invocation failed: its launch is closed, or lost with its job.

use runnerless_aws::AwsError;
use runnerless_aws::book::{Book, MoveError};
use runnerless_aws::ports::{Ledger, Parameters};
use runnerless_core::event::LaunchEvent;
use runnerless_core::id::LaunchId;
use runnerless_core::launch::LaunchRow;
use runnerless_core::limits;
use runnerless_core::moves::{CloseRefused, End, Evidence, silence};
use runnerless_core::time::{Millis, Timestamp};
use runnerless_lambda_kit::{Clock, metrics};
use runnerless_lost::{LostJobs, Reporter, Written};
use serde_json::json;
use subtle::ConstantTimeEq as _;

use crate::error::Error;
use crate::event::Failure;
use crate::outcome::{Ended, Outcome};

/// How long a job waits whose launch AWS did not start: throttles pass in seconds.
const RETRY: Millis = Millis::secs(10);

/// Does what a failure record means for its launch.
pub(crate) async fn failed<L: Ledger, P: Parameters, R: Reporter>(
    jobs: &LostJobs<'_, L, P, R>,
    event: Option<&LaunchEvent>,
    failure: &Failure,
    clock: &impl Clock,
) -> Result<Outcome, Error> {
    let book = Book(jobs.ledger);
    let Some(launch) = recorded(&book, event).await? else {
        let name = failure.name();
        metrics::count("terminator", "UnknownFailures", 1, &json!({"error.type": name}));
        return Ok(Outcome::new(Ended::Nothing, format!("{name} of no launch that we recorded")));
    };
    let id = &launch.launch;
    let outcome = match failure {
        Failure::NotBegun(why) => not_begun(&book, id, why, clock.now()).await?,
        Failure::Ended(why) => ended(jobs, id, why, clock).await?,
    };
    let (launch, reason) = (id.as_str(), outcome.reason.as_str());
    tracing::info!(target: "runnerless", service = "terminator", "launch.id" = launch, outcome = ?outcome.outcome, reason, "an invocation failed");
    Ok(outcome)
}

impl Failure {
    fn name(&self) -> &str {
        match self {
            Self::NotBegun(name) | Self::Ended(name) => name,
        }
    }
}

/// The launch of an event that proves it.
async fn recorded<L: Ledger>(book: &Book<'_, L>, event: Option<&LaunchEvent>) -> Result<Option<LaunchRow>, AwsError> {
    let Some(event) = event else { return Ok(None) };
    let row = book.launch(&event.launch).await?;
    let proved = |row: &LaunchRow| row.nonce_sha256.as_bytes().ct_eq(event.nonce.sha256().as_bytes()).into();
    Ok(row.filter(proved))
}

/// No process of this delivery began. It is no evidence about a launch that did begin: another delivery of the event
/// may serve it.
async fn not_begun<L: Ledger>(book: &Book<'_, L>, id: &LaunchId, why: &str, now: Timestamp) -> Result<Outcome, Error> {
    let reason = format!("AWS did not start it: {why}");
    match book.close(id, Evidence::RowOnly, &reason, now).await {
        Ok(_) => {
            let end = End::NeverStarted { reason: reason.clone(), retry_in: RETRY };
            metrics::concluded("terminator", book.conclude(id, &end, now).await?);
            Ok(Outcome::new(Ended::BackPressure, reason))
        }
        Err(refused) => nothing(refused),
    }
}

/// The process that had begun the launch is gone.
async fn ended<L: Ledger, P: Parameters, R: Reporter>(
    jobs: &LostJobs<'_, L, P, R>,
    id: &LaunchId,
    why: &str,
    clock: &impl Clock,
) -> Result<Outcome, Error> {
    let book = Book(jobs.ledger);
    let reason = format!("its invocation failed: {why}");
    match book.close(id, Evidence::HostGone, &reason, clock.now()).await {
        Ok(_) => {
            let concluded = book.conclude(id, &End::Fruitless(reason.clone()), clock.now()).await?;
            metrics::concluded("terminator", concluded);
            Ok(Outcome::new(Ended::Closed, reason))
        }
        Err(MoveError::Refused(CloseRefused::Bound)) => lost(jobs, id, why, clock).await,
        Err(MoveError::Refused(CloseRefused::OwesReport)) => {
            let told = jobs.pay(id, clock.now()).await?;
            Ok(Outcome::new(Ended::Lost, told.sentence()))
        }
        Err(refused) => nothing(refused),
    }
}

/// A bound launch is lost when its lease is over, or when it gives no sign of life while it is watched. The record alone
/// is no evidence: it may be about a second delivery of the event, while the first one runs the job. A launch that gives
/// no signs is left to its lease and the sweep.
async fn lost<L: Ledger, P: Parameters, R: Reporter>(
    jobs: &LostJobs<'_, L, P, R>,
    id: &LaunchId,
    why: &str,
    clock: &impl Clock,
) -> Result<Outcome, Error> {
    let silent = is_silent(&Book(jobs.ledger), id, clock).await?;
    let evidence = if silent { Evidence::HostGone } else { Evidence::RowOnly };
    match jobs.lose(id, evidence, clock.now()).await? {
        Written::NotLost(reason) => Ok(Outcome::new(Ended::Nothing, reason)),
        Written::Lost(told) => {
            metrics::lost("terminator", id, told.job(), &told.sentence());
            Ok(Outcome::new(Ended::Lost, format!("lost with its invocation: {why}; {}", told.sentence())))
        }
    }
}

/// Whether a launch that should give signs of life gives none. What was under way when the process died is waited for
/// first.
async fn is_silent<L: Ledger>(book: &Book<'_, L>, id: &LaunchId, clock: &impl Clock) -> Result<bool, AwsError> {
    let Some(watch) = book.launch(id).await?.as_ref().and_then(silence) else { return Ok(false) };
    clock.pause(limits::BEAT_MARGIN).await;
    let before = book.launch(id).await?.map(|launch| launch.rev);
    clock.pause(Millis(watch.0 - limits::BEAT_MARGIN.0)).await;
    Ok(book.launch(id).await?.map(|launch| launch.rev) == before)
}

/// A launch that is not to be touched.
pub(crate) fn nothing(refused: MoveError<CloseRefused>) -> Result<Outcome, Error> {
    match refused {
        MoveError::Ledger(error) => Err(error.into()),
        refused @ (MoveError::Refused(_) | MoveError::NoLaunch(_)) => {
            Ok(Outcome::new(Ended::Nothing, refused.to_string()))
        }
    }
}
