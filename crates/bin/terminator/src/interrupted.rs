//! EC2 takes a spot instance back: its job is reported while there is time, so that GitLab may retry it.

use runnerless_aws::AwsError;
use runnerless_aws::book::{Book, MoveError};
use runnerless_aws::ports::{Ledger, Parameters};
use runnerless_aws_ec2::Fleet;
use runnerless_core::id::LaunchId;
use runnerless_core::launch::LaunchState;
use runnerless_core::moves::{End, Evidence, Ours, launch_of_instance};
use runnerless_core::time::Timestamp;
use runnerless_gitlab::protocol::Runners;
use runnerless_instances::Instances;
use runnerless_lambda_kit::{Clock, metrics};
use runnerless_lost::{LostJobs, Reporter, Written};
use serde_json::json;

use crate::error::Error;
use crate::failed::nothing;
use crate::outcome::{Ended, Outcome};
use crate::settle::stopped;

const WHY: &str = "EC2 takes its spot instance back";

/// Does what a warning means for the launch of its instance.
pub(crate) async fn interrupted<L: Ledger, P: Parameters, R: Reporter, F: Fleet, G: Runners, C: Clock>(
    jobs: &LostJobs<'_, L, P, R>,
    instances: &Instances<'_, L, P, F, G, C>,
    ours: Option<&Ours>,
    instance: &str,
    now: Timestamp,
) -> Result<Outcome, Error> {
    let book = Book(jobs.ledger);
    let Some(id) = launch_of(&book, instances.fleet, ours, instance).await? else {
        return Ok(Outcome::new(Ended::Nothing, format!("no launch of this stack names {instance}")));
    };
    metrics::count("terminator", "SpotInterruptions", 1, &json!({"launch.id": id, "instance.id": instance}));
    let state = book.launch(&id).await?.map(|launch| launch.state);
    let outcome = if state == Some(LaunchState::Bound) {
        lost(jobs, instances, &id, now).await?
    } else {
        unbound(&book, instances, &id, now).await?
    };
    let (launch, reason) = (id.as_str(), outcome.reason.as_str());
    tracing::info!(target: "runnerless", service = "terminator", "launch.id" = launch, outcome = ?outcome.outcome, reason, "a spot instance is taken back");
    Ok(outcome)
}

/// The launch of an instance that is this stack's, if its row names that instance: a warning is about any instance of the
/// account.
async fn launch_of<L: Ledger>(
    book: &Book<'_, L>,
    fleet: &impl Fleet,
    ours: Option<&Ours>,
    instance: &str,
) -> Result<Option<LaunchId>, AwsError> {
    let Some(ours) = ours else { return Ok(None) };
    let Some(shown) = fleet.describe(instance).await? else { return Ok(None) };
    let Ok(id) = launch_of_instance(ours, &shown) else { return Ok(None) };
    let row = book.launch(&id).await?;
    Ok(row.filter(|launch| launch.instance_id.as_deref() == Some(instance)).map(|launch| launch.launch))
}

/// Its job fails now, with the reason that lets GitLab retry it: in two minutes nobody could say so.
async fn lost<L: Ledger, P: Parameters, R: Reporter, F: Fleet, G: Runners, C: Clock>(
    jobs: &LostJobs<'_, L, P, R>,
    instances: &Instances<'_, L, P, F, G, C>,
    id: &LaunchId,
    now: Timestamp,
) -> Result<Outcome, Error> {
    match jobs.lose(id, Evidence::HostGone, now).await? {
        Written::NotLost(reason) => Ok(Outcome::new(Ended::Nothing, reason)),
        Written::Lost(told) => {
            metrics::lost("terminator", id, told.job(), &told.sentence());
            let cleared = stopped(instances.clear(id, now).await?);
            Ok(Outcome::new(Ended::Lost, format!("{WHY}; {}; {}", told.sentence(), cleared.reason)))
        }
    }
}

/// It has no job yet. A runner that may still ask is left alone: it gets a job within seconds, or none, and what it gets is
/// lost with the instance, which the sweep sees.
async fn unbound<L: Ledger, P: Parameters, F: Fleet, G: Runners, C: Clock>(
    book: &Book<'_, L>,
    instances: &Instances<'_, L, P, F, G, C>,
    id: &LaunchId,
    now: Timestamp,
) -> Result<Outcome, Error> {
    match book.close(id, Evidence::RowOnly, WHY, now).await {
        Ok(_) => {}
        Err(MoveError::Refused(_)) if book.launch(id).await?.is_some_and(|launch| launch.is_winding_up()) => {}
        Err(refused) => return nothing(refused),
    }
    // The job is not to blame: it loses no attempt.
    metrics::concluded("terminator", book.conclude(id, &End::Unanswered(WHY.to_owned()), now).await?);
    Ok(stopped(instances.clear(id, now).await?))
}
