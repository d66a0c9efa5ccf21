//! The moves of a launch that began, for whoever proved to speak for it.

use runnerless_aws::book::{Book, MoveError, Pair};
use runnerless_aws::ports::Ledger;
use runnerless_aws::{AwsError, CacheBucket};
use runnerless_core::cache::{self, CacheKey, CacheUse};
use runnerless_core::chain::chain;
use runnerless_core::id::{JobKey, LaunchId};
use runnerless_core::launch::{LaunchRow, LaunchState};
use runnerless_core::moves::End;
use runnerless_core::time::Timestamp;
use runnerless_lambda_kit::metrics;

use crate::answer::Answer;

/// How a launch ended, as its runner says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The job ran, and GitLab was told how it ended.
    Done,
    /// The job ran, and GitLab could not be told how it ended.
    Untold,
    /// GitLab had no job.
    NoJob,
    /// GitLab could not really be asked, or the runner's surroundings were not as they must be: says nothing about a job.
    Unanswered,
    /// The runner failed.
    Failed,
    /// The official runner ended: whether it had a job, and how that ended, GitLab knows.
    Over,
}

/// What callers are told who do not speak for a launch, whether it is there or not.
#[must_use]
pub fn unknown() -> Answer {
    Answer::Gone("there is no launch of this id and nonce".to_owned())
}

/// A move's answer.
///
/// # Errors
/// The ledger is out of reach.
pub fn settled<T, R: std::error::Error + 'static>(made: Result<T, MoveError<R>>) -> Result<Answer, AwsError> {
    match made {
        Ok(_) => Ok(Answer::Done),
        Err(MoveError::Refused(why)) => Ok(Answer::Refused(why.to_string())),
        Err(MoveError::NoLaunch(_)) => Ok(unknown()),
        Err(MoveError::Ledger(error)) => Err(error),
    }
}

/// Takes a binding back, and ends the launch. What was accepted cannot be given back, and another job is not this
/// call's.
///
/// # Errors
/// The ledger is out of reach.
pub async fn give_back<L: Ledger>(
    book: &Book<'_, L>,
    service: &'static str,
    launch: &LaunchRow,
    job: JobKey,
    now: Timestamp,
) -> Result<Answer, AwsError> {
    if let Some(bound) = launch.bound_job.filter(|bound| *bound != job) {
        return Ok(Answer::Refused(format!("the launch is bound to job {bound}")));
    }
    if launch.state == LaunchState::Bound && launch.accepted {
        let cure = "report its end to GitLab, then end the launch";
        return Ok(Answer::Refused(format!("job {job} was accepted: {cure}")));
    }
    book.give_back(&launch.launch, job, "not bound or not accepted", now).await?;
    told(service, &launch.launch, "gave its job back");
    Ok(Answer::Done)
}

/// A URL for one use of a cache that the bound job named.
#[must_use]
pub fn cache(
    bucket: Option<&CacheBucket>,
    service: &'static str,
    launch: &LaunchRow,
    what: CacheUse,
    key: &CacheKey,
    now: Timestamp,
) -> Answer {
    let allowed = match cache::allowed(launch, what, key, now) {
        Ok(allowed) => allowed,
        Err(why) => return Answer::Refused(why.to_string()),
    };
    let Some(bucket) = bucket else { return Answer::Cache(None) };
    bucket.sign(&allowed, what, now).map(Some).map_or_else(
        |error| {
            let (launch, error) = (launch.launch.as_str(), chain(&error));
            tracing::error!(target: "runnerless", service, "launch.id" = launch, error, "a cache's URL was not signed");
            Answer::Refused("the cache's URL could not be signed".to_owned())
        },
        Answer::Cache,
    )
}

/// Ends the launch. Saying so again is no error.
///
/// # Errors
/// The ledger is out of reach.
pub async fn end<L: Ledger>(
    book: &Book<'_, L>,
    service: &'static str,
    read: Pair,
    ending: Ending,
    reason: String,
    now: Timestamp,
) -> Result<Answer, AwsError> {
    let launch = &read.launch;
    let why = |what: &str| if reason.is_empty() { what.to_owned() } else { format!("{what}: {reason}") };
    let end = match (ending, launch.bound_job) {
        _ if launch.state == LaunchState::Closed => return Ok(Answer::Done),
        (Ending::Done, Some(job)) => End::JobDone(why(&format!("job {job} is done"))),
        (Ending::Untold, Some(job)) => End::Untold(why(&format!("job {job} is over"))),
        (Ending::Done | Ending::Untold, None) => {
            return Ok(Answer::Refused("no job is bound: bind before done".to_owned()));
        }
        // What an official runner did is known better from GitLab than from its log.
        (Ending::NoJob | Ending::Unanswered | Ending::Failed, Some(job)) if launch.official.is_some() => {
            End::JobDone(why(&format!("job {job} is over")))
        }
        (Ending::NoJob | Ending::Unanswered, Some(job)) => {
            return Ok(Answer::Refused(format!("the launch is bound to job {job}")));
        }
        (Ending::NoJob, None) => End::Fruitless(why("GitLab had no job for this runner")),
        (Ending::Unanswered, None) => End::Unanswered(why("GitLab was not asked")),
        (Ending::Failed, _) => End::Fruitless(why("the function failed")),
        (Ending::Over, Some(job)) => End::JobDone(why(&format!("job {job} is over"))),
        (Ending::Over, None) => End::Unanswered(why("its runner ended, and which job it had is not known")),
    };
    let id = launch.launch.clone();
    metrics::concluded(service, book.conclude_read(read, &end, now).await?);
    told(service, &id, "ended");
    Ok(Answer::Done)
}

pub(crate) fn told(service: &'static str, launch: &LaunchId, what: &'static str) {
    tracing::info!(target: "runnerless", service, "launch.id" = launch.as_str(), "{what}");
}
