//! One call: who speaks is proved, then the move is made as the executor makes it.

use runnerless_aws::book::{Book, MoveError};
use runnerless_aws::ports::{Ledger, Parameters};
use runnerless_aws::runner_token;
use runnerless_core::event::Nonce;
use runnerless_core::id::{JobKey, LaunchId};
use runnerless_core::lane::Engine;
use runnerless_core::launch::{LaunchRow, LaunchState};
use runnerless_core::moves::End;
use runnerless_core::time::Timestamp;
use runnerless_lambda_kit::{Dice, metrics};
use serde_json::Value;
use subtle::ConstantTimeEq as _;

use crate::answer::Answer;
use crate::error::Error;
use crate::request::{Does, Ending, Request};

/// Random bytes of a claim that the caller did not give.
const CLAIM_BYTES: usize = 16;

/// What claim speaks to.
#[derive(Debug)]
pub struct Ports<'a, L, P, D> {
    /// The ledger.
    pub ledger: &'a L,
    /// Parameter Store.
    pub parameters: &'a P,
    /// Where the secrets are in it.
    pub parameter_path: &'a str,
    /// Random texts.
    pub dice: &'a D,
}

/// Answers one call.
///
/// # Errors
/// A request that is none, a lane without a token, or a ledger out of reach.
pub async fn handle<L: Ledger, P: Parameters, D: Dice>(
    event: &Value,
    ports: &Ports<'_, L, P, D>,
    now: Timestamp,
) -> Result<Answer, Error> {
    let Request { launch: id, nonce, claim, does } = Request::read(event)?;
    let book = Book(ports.ledger);
    let row = book.launch(&id).await?;
    let Some(launch) = row.filter(|launch| is_theirs(launch, &nonce)) else { return Ok(unknown()) };
    if does != Does::Begin && is_anothers(&launch, claim.as_deref()) {
        return Ok(Answer::Gone("another process began this launch".to_owned()));
    }
    match does {
        Does::Begin => begin(ports, &launch, &nonce, claim, now).await,
        Does::Bind(job) => settled(book.bind(&id, job, now).await),
        Does::GiveBack(job) => give_back(&book, &launch, job, now).await,
        Does::Renew => settled(book.renew(&id, now).await),
        Does::End(ending, reason) => end(&book, &launch, ending, reason, now).await,
    }
}

/// Whether the caller speaks for the launch. Instances prove themselves in another way, so that their launches are not
/// there for those who come with a nonce.
fn is_theirs(launch: &LaunchRow, nonce: &Nonce) -> bool {
    let proved = launch.nonce_sha256.as_bytes().ct_eq(nonce.sha256().as_bytes());
    bool::from(proved) && launch.engine == Engine::Lambda
}

/// Whether another delivery of the same event began the launch: what this one says must not touch it.
fn is_anothers(launch: &LaunchRow, claim: Option<&str>) -> bool {
    claim.is_some_and(|claim| launch.claim.as_deref().is_some_and(|begun| begun != claim))
}

fn unknown() -> Answer {
    Answer::Gone("there is no launch of this id and nonce".to_owned())
}

async fn begin<L: Ledger, P: Parameters, D: Dice>(
    ports: &Ports<'_, L, P, D>,
    launch: &LaunchRow,
    nonce: &Nonce,
    claim: Option<String>,
    now: Timestamp,
) -> Result<Answer, Error> {
    let (book, id) = (Book(ports.ledger), &launch.launch);
    let claim = claim.unwrap_or_else(|| ports.dice.token(CLAIM_BYTES));
    match book.begin(id, &nonce.sha256(), &claim, now).await {
        Ok(_) => {}
        Err(MoveError::Ledger(error)) => return Err(error.into()),
        Err(MoveError::NoLaunch(_)) => return Ok(unknown()),
        Err(MoveError::Refused(why)) => return Ok(Answer::Gone(why.to_string())),
    }
    match runner_token(ports.parameters, ports.parameter_path, launch.engine, &launch.lane).await {
        Ok(token) => {
            told(id, "begun");
            Ok(Answer::Begun { token, system_id: launch.system_id.clone() })
        }
        Err(error) => {
            // A store that only did not answer may be asked again under the same claim.
            if let end @ End::Fruitless(_) = error.end() {
                metrics::concluded("claim", book.conclude(id, &end, now).await?);
            }
            Err(error.into())
        }
    }
}

/// A move's answer.
fn settled<R: std::error::Error + 'static>(made: Result<(), MoveError<R>>) -> Result<Answer, Error> {
    match made {
        Ok(()) => Ok(Answer::Done),
        Err(MoveError::Refused(why)) => Ok(Answer::Refused(why.to_string())),
        Err(MoveError::NoLaunch(_)) => Ok(unknown()),
        Err(MoveError::Ledger(error)) => Err(error.into()),
    }
}

/// Takes a binding back, and ends the launch. What was accepted cannot be given back, and another job is not this
/// call's.
async fn give_back<L: Ledger>(
    book: &Book<'_, L>,
    launch: &LaunchRow,
    job: JobKey,
    now: Timestamp,
) -> Result<Answer, Error> {
    if let Some(bound) = launch.bound_job.filter(|bound| *bound != job) {
        return Ok(Answer::Refused(format!("the launch is bound to job {bound}")));
    }
    if launch.state == LaunchState::Bound && launch.accepted {
        let cure = "report its end to GitLab, then end the launch";
        return Ok(Answer::Refused(format!("job {job} was accepted: {cure}")));
    }
    book.give_back(&launch.launch, job, "not bound or not accepted", now).await?;
    told(&launch.launch, "gave its job back");
    Ok(Answer::Done)
}

/// Ends the launch. Saying so again is no error.
async fn end<L: Ledger>(
    book: &Book<'_, L>,
    launch: &LaunchRow,
    ending: Ending,
    reason: String,
    now: Timestamp,
) -> Result<Answer, Error> {
    let why = |what: &str| if reason.is_empty() { what.to_owned() } else { format!("{what}: {reason}") };
    let end = match (ending, launch.bound_job) {
        _ if launch.state == LaunchState::Closed => return Ok(Answer::Done),
        (Ending::Done, Some(job)) => End::JobDone(why(&format!("job {job} is done"))),
        (Ending::Done, None) => return Ok(Answer::Refused("no job is bound: bind before done".to_owned())),
        (Ending::NoJob, Some(job)) => return Ok(Answer::Refused(format!("the launch is bound to job {job}"))),
        (Ending::NoJob, None) => End::Fruitless(why("GitLab had no job for this runner")),
        (Ending::Failed, _) => End::Fruitless(why("the function failed")),
    };
    metrics::concluded("claim", book.conclude(&launch.launch, &end, now).await?);
    told(&launch.launch, "ended");
    Ok(Answer::Done)
}

fn told(launch: &LaunchId, what: &'static str) {
    tracing::info!(target: "runnerless", service = "claim", "launch.id" = launch.as_str(), "{what}");
}
