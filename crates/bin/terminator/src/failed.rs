//! An asynchronous invocation failed: its launch is closed, or lost with its job.

use runnerless_aws::AwsError;
use runnerless_aws::book::{Book, MoveError};
use runnerless_aws::ports::Ledger;
use runnerless_core::event::LaunchEvent;
use runnerless_core::id::LaunchId;
use runnerless_core::launch::LaunchRow;
use runnerless_core::moves::{CloseRefused, End, Evidence, Loss};
use runnerless_core::time::{Millis, Timestamp};
use runnerless_lambda_kit::metrics;
use serde_json::json;
use subtle::ConstantTimeEq as _;

use crate::error::Error;
use crate::event::Failure;
use crate::outcome::{Ended, Outcome};

/// How long a job waits whose launch AWS did not start: throttles pass in seconds.
const RETRY: Millis = Millis::secs(10);

/// Does what a failure record means for its launch.
pub(crate) async fn failed<L: Ledger>(
    ledger: &L,
    event: Option<&LaunchEvent>,
    failure: &Failure,
    now: Timestamp,
) -> Result<Outcome, Error> {
    let book = Book(ledger);
    let Some(launch) = recorded(&book, event).await? else {
        let name = failure.name();
        metrics::count("terminator", "UnknownFailures", 1, &json!({"error.type": name}));
        return Ok(Outcome::new(Ended::Nothing, format!("{name} of no launch that we recorded")));
    };
    let id = &launch.launch;
    let outcome = match failure {
        Failure::NotBegun(why) => not_begun(&book, id, why, now).await?,
        Failure::Ended(why) => ended(&book, id, why, now).await?,
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
async fn ended<L: Ledger>(book: &Book<'_, L>, id: &LaunchId, why: &str, now: Timestamp) -> Result<Outcome, Error> {
    let reason = format!("its invocation failed: {why}");
    match book.close(id, Evidence::HostGone, &reason, now).await {
        Ok(_) => {
            let concluded = book.conclude(id, &End::Fruitless(reason.clone()), now).await?;
            metrics::concluded("terminator", concluded);
            Ok(Outcome::new(Ended::Closed, reason))
        }
        Err(MoveError::Refused(CloseRefused::Bound)) => lost(book, id, why, now).await,
        Err(refused) => nothing(refused),
    }
}

/// A bound launch is lost once its lease is over: counted, and its job's row is left as the rules say. Before that this
/// record is no evidence, because it may be about a second delivery of the event while the first one runs the job; the
/// sweep looks when the lease is over. A job that GitLab still shows as running is ended by GitLab's own rule for jobs
/// without a sign of life.
async fn lost<L: Ledger>(book: &Book<'_, L>, id: &LaunchId, why: &str, now: Timestamp) -> Result<Outcome, Error> {
    match book.lost(id, Evidence::RowOnly, now).await? {
        Loss::NotLost(reason) => Ok(Outcome::new(Ended::Nothing, reason)),
        Loss::Lost { report, .. } => {
            let job = report.map(|job| job.to_string());
            let fields = json!({"launch.id": id.as_str(), "job.key": job, "error.type": why});
            metrics::count("terminator", "LaunchesLost", 1, &fields);
            let left = job.map_or_else(String::new, |job| format!("; job {job} has no runner any more"));
            Ok(Outcome::new(Ended::Lost, format!("lost with its invocation: {why}{left}")))
        }
    }
}

/// A launch that is not to be touched.
fn nothing(refused: MoveError<CloseRefused>) -> Result<Outcome, Error> {
    match refused {
        MoveError::Ledger(error) => Err(error.into()),
        refused @ (MoveError::Refused(_) | MoveError::NoLaunch(_)) => {
            Ok(Outcome::new(Ended::Nothing, refused.to_string()))
        }
    }
}
