//! A job ended: its launch is settled.

use runnerless_aws::book::Book;
use runnerless_aws::ports::{Ledger, Parameters};
use runnerless_aws_ec2::Fleet;
use runnerless_core::id::{JobKey, LaunchId};
use runnerless_core::moves::Settlement;
use runnerless_core::time::Timestamp;
use runnerless_gitlab::protocol::Runners;
use runnerless_instances::{Cleared, Instances};
use runnerless_lambda_kit::Clock;

use crate::error::Error;
use crate::outcome::{Ended, Outcome};

/// Settles the launch that the job's row names, and no other.
pub(crate) async fn settle<L: Ledger, P: Parameters, F: Fleet, G: Runners, C: Clock>(
    instances: &Instances<'_, L, P, F, G, C>,
    job: JobKey,
    launch: Option<LaunchId>,
    now: Timestamp,
) -> Result<Outcome, Error> {
    let outcome = match Book(instances.ledger).settle_about(job, launch, now).await? {
        Settlement::Nothing(why) => Outcome::new(Ended::Nothing, why),
        Settlement::Retire(plan) => Outcome::new(Ended::Retired, plan.reason),
        Settlement::EndsItself(plan) => Outcome::new(Ended::EndsItself, plan.reason),
        Settlement::Stop { launch, rest, .. } => stopped(instances.clear_read(&launch, &rest, now).await?),
    };
    let (key, reason) = (job.to_string(), outcome.reason.as_str());
    tracing::info!(target: "runnerless", service = "terminator", "job.key" = key, outcome = ?outcome.outcome, reason, "settled");
    Ok(outcome)
}

pub(crate) fn stopped(cleared: Cleared) -> Outcome {
    match cleared {
        Cleared::Now(why) | Cleared::Unaccounted(why) => Outcome::new(Ended::Stopped, why),
        Cleared::Left(why) => Outcome::new(Ended::StopLeft, why),
        Cleared::NotNeeded(why) => Outcome::new(Ended::Nothing, why),
    }
}
