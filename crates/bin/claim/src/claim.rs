//! One call: who speaks is proved, then the move is made as the executor makes it.

use runnerless_aws::book::{Book, MoveError};
use runnerless_aws::ports::{Ledger, Parameters};
use runnerless_aws::{CacheBucket, runner_token};
use runnerless_core::event::Nonce;
use runnerless_core::lane::Engine;
use runnerless_core::launch::LaunchRow;
use runnerless_core::moves::End;
use runnerless_core::time::Timestamp;
use runnerless_lambda_kit::{Dice, metrics};
use serde_json::Value;
use subtle::ConstantTimeEq as _;

use crate::answer::Answer;
use crate::deeds::{cache, end, give_back, settled, told, unknown};
use crate::error::Error;
use crate::request::{Does, Request};

/// This function's name in logs and metrics.
const SERVICE: &str = "claim";
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
    /// The bucket with the jobs' caches, where the stack has one.
    pub caches: Option<&'a CacheBucket>,
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
    let read = book.pair(&id, does.about()).await?;
    let Some(read) = read.filter(|read| is_theirs(&read.launch, &nonce)) else { return Ok(unknown()) };
    let launch = &read.launch;
    if does != Does::Begin && is_anothers(launch, claim.as_deref()) {
        return Ok(Answer::Gone("another process began this launch".to_owned()));
    }
    match does {
        Does::Begin => begin(ports, launch, &nonce, claim, now).await,
        Does::Bind(got) => Ok(settled(book.bind_read(read, got, now).await)?),
        Does::GiveBack(job) => Ok(give_back(&book, SERVICE, launch, job, now).await?),
        Does::Renew => Ok(settled(book.renew_from(&id, Some(read.launch), now).await)?),
        Does::Cache(what, key) => Ok(cache(ports.caches, SERVICE, launch, what, &key, now)),
        Does::End(ending, reason) => Ok(end(&book, SERVICE, read, ending, reason, now).await?),
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
            told(SERVICE, id, "begun");
            Ok(Answer::Begun { token, system_id: launch.system_id.clone() })
        }
        Err(error) => {
            // A store that only did not answer may be asked again under the same claim.
            if let end @ End::Fruitless(_) = error.end() {
                metrics::concluded(SERVICE, book.conclude(id, &end, now).await?);
            }
            Err(error.into())
        }
    }
}
