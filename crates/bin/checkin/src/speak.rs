//! `POST /launch`: what the runner of a launch that began says.

use runnerless_aws::book::{Book, Pair};
use runnerless_aws::job_token::TokenSeal;
use runnerless_aws::ports::{Ledger, Parameters};
use runnerless_aws::{TokenError, launch_token};
use runnerless_aws_ec2::Fleet;
use runnerless_claim::deeds::{cache, end, give_back, settled, unknown};
use runnerless_core::chain::chain;
use runnerless_core::event::Nonce;
use runnerless_core::lane::Engine;
use runnerless_core::launch::LaunchRow;
use runnerless_core::moves::Got;
use runnerless_core::sealed::SealedToken;
use runnerless_core::time::Timestamp;
use serde_json::Value;
use subtle::ConstantTimeEq as _;

use crate::error::Error;
use crate::request::{Bind, Does, Word};
use crate::wire::Reply;
use crate::{Ports, SERVICE};

pub(crate) async fn speak<L: Ledger, P: Parameters, F: Fleet>(
    body: &Value,
    ports: &Ports<'_, L, P, F>,
    now: Timestamp,
) -> Result<Reply, Error> {
    let Word { launch: id, nonce, does } = Word::read(body)?;
    let book = Book(ports.ledger);
    let known = match does {
        Does::Renew | Does::End(_) => ports.memory.bound.take(&id, now).map(Pair::from),
        Does::Bind(_) | Does::GiveBack(_) | Does::Cache(..) => None,
    };
    let read = match known {
        Some(pair) => Some(pair),
        None => book.pair(&id, does.about()).await?,
    };
    let Some(read) = read.filter(|read| is_theirs(&read.launch, &nonce)) else { return Ok(Reply::Said(unknown())) };
    let answer = match does {
        Does::Bind(bind) => {
            let job_token = sealed(ports, &read.launch, &bind, now).await?;
            let got = Got { job: bind.job, job_token, beat_ms: Some(bind.beat), caches: bind.caches };
            settled(ports.memory.left(book.bind_read(read, got, now).await, now))?
        }
        Does::GiveBack(job) => give_back(&book, SERVICE, &read.launch, job, now).await?,
        Does::Renew => settled(ports.memory.left(book.renew_from(&id, Some(read.launch), now).await, now))?,
        Does::Cache(what, key) => cache(ports.settings.caches.as_ref(), SERVICE, &read.launch, what, &key, now),
        Does::End(said) => end(&book, SERVICE, read, said.outcome, said.reason, now).await?,
    };
    Ok(Reply::Said(answer))
}

/// Whether the caller speaks for the launch: it is an instance's, it began, and the nonce is the one that was given then.
fn is_theirs(launch: &LaunchRow, nonce: &Nonce) -> bool {
    let proved = launch.nonce_sha256.as_bytes().ct_eq(nonce.sha256().as_bytes());
    bool::from(proved) && launch.engine == Engine::Ec2 && launch.claim.is_some()
}

/// The job's token for the launch's row. A lane's token that only cannot be read now is waited for: the runner says the same
/// word again within its thirty seconds. Without any, the job runs all the same, and is not reported should its instance be
/// lost.
async fn sealed<L, P: Parameters, F>(
    ports: &Ports<'_, L, P, F>,
    launch: &LaunchRow,
    bind: &Bind,
    now: Timestamp,
) -> Result<Option<SealedToken>, Error> {
    let not_kept = |error: String| {
        let launch = launch.launch.as_str();
        tracing::error!(target: "runnerless", service = SERVICE, "launch.id" = launch, error, "the job's token is not kept");
    };
    let seal = match ports.memory.seals.take(&launch.launch, now) {
        Some(seal) => Ok(seal),
        None => match launch_token(ports.parameters, &ports.settings.parameter_path, launch).await {
            Ok(token) => TokenSeal::new(&token, &launch.launch),
            Err(error @ TokenError::Unread { .. }) => return Err(error.into()),
            Err(error @ (TokenError::Missing(_) | TokenError::Registration(_) | TokenError::Sealed(_))) => {
                not_kept(chain(&error));
                return Ok(None);
            }
        },
    };
    let sealed = seal.and_then(|seal| seal.seal(bind.job, &bind.token));
    Ok(sealed.inspect_err(|error| not_kept(error.to_string())).ok())
}
