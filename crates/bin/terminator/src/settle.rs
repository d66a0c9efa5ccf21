//! A job ended: its launch is settled.

use runnerless_aws::book::Book;
use runnerless_aws::ports::Ledger;
use runnerless_core::id::JobKey;
use runnerless_core::moves::Settlement;
use runnerless_core::time::Timestamp;

use crate::error::Error;
use crate::outcome::{Ended, Outcome};

/// Settles the launch that the job's row names, and no other.
pub(crate) async fn settle<L: Ledger>(ledger: &L, job: JobKey, now: Timestamp) -> Result<Outcome, Error> {
    let outcome = match Book(ledger).settle(job, now).await? {
        Settlement::Nothing(why) => Outcome::new(Ended::Nothing, why),
        Settlement::Retire(plan) => Outcome::new(Ended::Retired, plan.reason),
        Settlement::EndsItself(plan) => Outcome::new(Ended::EndsItself, plan.reason),
        Settlement::Stop { instance } => return Err(Error::NoInstances(instance)),
    };
    let (key, reason) = (job.to_string(), outcome.reason.as_str());
    tracing::info!(target: "runnerless", service = "terminator", "job.key" = key, outcome = ?outcome.outcome, reason, "settled");
    Ok(outcome)
}
