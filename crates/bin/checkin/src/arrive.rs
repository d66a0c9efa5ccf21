//! `POST /claim`: an instance begins.

use runnerless_aws::book::{Book, MoveError};
use runnerless_aws::job_token::TokenSeal;
use runnerless_aws::ports::{Ledger, Parameters};
use runnerless_aws::{TokenError, launch_nonce, launch_token};
use runnerless_aws_ec2::Fleet;
use runnerless_claim::Answer;
use runnerless_core::event::nonce_sha256;
use runnerless_core::launch::LaunchRow;
use runnerless_core::limits;
use runnerless_core::moves::{CheckInRefused, End, check_in};
use runnerless_core::time::Timestamp;
use runnerless_lambda_kit::metrics;
use serde_json::Value;
use zeroize::Zeroizing;

use crate::error::Error;
use crate::request::Begin;
use crate::wire::{Begun, Reply};
use crate::{Ports, SERVICE};

/// Lets the launch of this instance begin. Its metadata service is switched off before: what a job could read there, the
/// runner had no use for any more when it made this call.
pub(crate) async fn arrive<L: Ledger, P: Parameters, F: Fleet>(
    instance: &str,
    body: &Value,
    ports: &Ports<'_, L, P, F>,
    now: Timestamp,
) -> Result<Reply, Error> {
    let Begin { launch: id, claim } = Begin::read(body)?;
    let book = Book(ports.ledger);
    let Some(launch) = book.launch(&id).await? else { return Ok(unknown()) };
    // Only a question: the nonce that it is given needs the runner's token, which is nobody else's to make us read.
    if let Err(refused) = check_in(&launch, instance, &claim, "", now) {
        return refuse(&book, &launch, refused, now).await;
    }
    let token = match launch_token(ports.parameters, &ports.settings.parameter_path, &launch).await {
        Ok(token) => token,
        Err(error) => {
            // A store that only did not answer may be asked again.
            let end = error.end();
            if matches!(end, End::Fruitless(_)) || matches!(error, TokenError::Sealed(_)) {
                metrics::concluded(SERVICE, book.conclude(&id, &end, now).await?);
            }
            return Err(error.into());
        }
    };
    let nonce = launch_nonce(&token, &id, &claim)?;
    ports.fleet.hide_metadata(instance).await?;
    match book.check_in(launch.clone(), instance, &claim, &nonce_sha256(&nonce), now).await {
        Ok(before) => {
            if let Ok(seal) = TokenSeal::new(&token, &id) {
                ports.memory.seals.keep(&id, seal, now);
            }
            tracing::info!(target: "runnerless", service = SERVICE, "launch.id" = id.as_str(), "instance.id" = instance, "begun");
            Ok(begun(ports, &before, token, nonce, now))
        }
        Err(MoveError::Refused(refused)) => refuse(&book, &launch, refused, now).await,
        Err(MoveError::NoLaunch(_)) => Ok(unknown()),
        Err(MoveError::Ledger(error)) => Err(error.into()),
    }
}

fn begun<L, P, F>(
    ports: &Ports<'_, L, P, F>,
    launch: &LaunchRow,
    token: Zeroizing<String>,
    nonce: Zeroizing<String>,
    now: Timestamp,
) -> Reply {
    // The row as it was before: it has no time of its begin unless this call is a repetition.
    let began = launch.times.polling_at.unwrap_or(now);
    Reply::Begun(Box::new(Begun {
        token,
        system_id: launch.system_id.clone(),
        nonce,
        gitlab_url: ports.settings.gitlab_url.clone(),
        image_policy: ports.settings.image_policy.clone(),
        official: launch.official.as_ref().map(ToString::to_string),
        wait_ms: (limits::WAIT - (now - began)).0.max(0),
        left_ms: (launch.deadline - now).0,
    }))
}

async fn refuse<L: Ledger>(
    book: &Book<'_, L>,
    launch: &LaunchRow,
    refused: CheckInRefused,
    now: Timestamp,
) -> Result<Reply, Error> {
    let why = refused.to_string();
    match refused {
        CheckInRefused::NotRecorded => Ok(Reply::Again(why)),
        // What is another's is not there.
        CheckInRefused::NotTheirs => Ok(unknown()),
        CheckInRefused::WaitOver => {
            let end = End::Unanswered("the instance was answered too late to ask GitLab".to_owned());
            metrics::concluded(SERVICE, book.conclude(&launch.launch, &end, now).await?);
            Ok(Reply::Said(Answer::Gone(why)))
        }
        CheckInRefused::Begin(_) => Ok(Reply::Said(Answer::Gone(why))),
    }
}

fn unknown() -> Reply {
    Reply::Said(Answer::Gone("there is no launch of this id and instance".to_owned()))
}
