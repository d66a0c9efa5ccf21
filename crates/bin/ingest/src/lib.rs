//! Ingest: proves that a request is GitLab's, stores what it says of a job, and announces it.
//!
//! The row is stored before the bus is told, and GitLab gets its 2xx once the row is stored: from then on the sweep
//! reaches every decision that the announcement would have led to. Everything authentic is answered by 2xx, whether we
//! act on it or not, because GitLab switches hooks off that are not; an error leaves this function only when nothing is
//! known to be stored. A hook may come twice, late, at the same time as another and in any order: what is recorded is
//! decided by [`runnerless_core::moves::record`] on the row as it stands.

mod config;
mod event;
mod outcome;
mod projects;
mod record;

use std::future::Future;

use runnerless_aws::ports::{Bus, Ledger, Parameters};
use runnerless_aws::{AwsError, Branch, ParameterCache, Service};
use runnerless_core::job::JobEvent;
use runnerless_core::time::Timestamp;
use runnerless_gitlab::proof::{Credentials, Header, Proof, Refusal, prove};
use runnerless_gitlab::webhook::{self, Event, Instance};
use runnerless_lambda_kit::{Clock, within};

use crate::outcome::report_unusable;

pub use config::{Config, Rules};
pub use event::{Request, Response};
pub use outcome::{Announced, Ignored, JobOutcome, Outcome, Rejected, report};
pub use projects::Noted;

pub(crate) const SERVICE: &str = "ingest";

/// What ingest needs.
#[derive(Debug)]
pub struct Ports<'a, L, B, P, C> {
    /// The ledger.
    pub ledger: &'a L,
    /// The event bus.
    pub bus: &'a B,
    /// Where the secrets are.
    pub store: &'a P,
    /// The secrets that were read already.
    pub secrets: &'a ParameterCache,
    /// The projects that were noted already.
    pub noted: &'a Noted,
    /// Time.
    pub clock: &'a C,
}

/// Takes one request in.
///
/// # Errors
/// The secrets were never read and cannot be, or the ledger is out of reach, or either takes too long: nothing is known to be
/// stored, and GitLab gets a 5xx.
pub async fn handle<L: Ledger, B: Bus, P: Parameters, C: Clock>(
    request: &Request,
    ports: &Ports<'_, L, B, P, C>,
    rules: &Rules,
    now: Timestamp,
) -> Result<Outcome, AwsError> {
    let until = now + rules.store_limit;
    let body = match request.is_for_us().and_then(|()| request.bytes()) {
        Ok(body) => body,
        Err(rejected) => return Ok(Outcome::Rejected(rejected)),
    };
    let proof =
        match in_time(ports.clock, until, Service::Parameters, proved(request, &body, ports, rules, now)).await? {
            Ok(proof) => proof,
            Err(refusal) => return Ok(Outcome::Rejected(Rejected::Unproved(refusal))),
        };
    if !is_from(&rules.instance, request) {
        return Ok(Outcome::Ignored(Ignored::ForeignInstance));
    }
    match webhook::read(&body, &rules.instance) {
        Err(bad) => Ok(Outcome::Ignored(Ignored::Unreadable(bad))),
        Ok(Event::Other { kind }) => Ok(Outcome::Ignored(Ignored::Kind(kind))),
        Ok(Event::Job(job)) if !proof.covers(&job.facts.project_path) => {
            Ok(Outcome::Rejected(Rejected::OutOfScope(job.key)))
        }
        Ok(Event::Job(job)) => {
            let stored =
                in_time(ports.clock, until, Service::Ledger, record::store(ports.ledger, &job, &proof, now)).await?;
            Ok(match stored {
                Some(stored) => tell(&job, &proof, stored, ports, rules).await,
                None => Outcome::Rejected(Rejected::OutOfScope(job.key)),
            })
        }
    }
}

/// What does not come in time is as good as no answer. GitLab is told of it before it stops to listen.
async fn in_time<T>(
    clock: &impl Clock,
    until: Timestamp,
    service: Service,
    work: impl Future<Output = Result<T, AwsError>>,
) -> Result<T, AwsError> {
    let late = || AwsError::Unavailable { service, operation: "what a hook needs", source: "it took too long".into() };
    within(clock, until - clock.now(), work).await.unwrap_or_else(|| Err(late()))
}

/// The proof; when it fails in a way that newer secrets could mend, they are read again, at a limited rate.
async fn proved<L, B, P: Parameters, C: Clock>(
    request: &Request,
    body: &[u8],
    ports: &Ports<'_, L, B, P, C>,
    rules: &Rules,
    now: Timestamp,
) -> Result<Result<Proof, Refusal>, AwsError> {
    let decide = |credentials: &Credentials| prove(&request.headers, body, credentials, rules.token_alone, now);
    let credentials = read(&ports.secrets.get(ports.store, ports.clock).await?);
    report_unusable(&credentials);
    match decide(&credentials) {
        Err(refusal) if refusal.may_be_rotation() => {
            Ok(decide(&read(&ports.secrets.refreshed(ports.store, ports.clock).await?)))
        }
        decided => Ok(decided),
    }
}

fn read(branch: &Branch) -> Credentials {
    Credentials::read(branch.names(), |name| branch.get(name))
}

/// One stack serves one GitLab. A hook that does not say where it is from was proved all the same.
fn is_from(instance: &Instance, request: &Request) -> bool {
    match request.headers.get("x-gitlab-instance") {
        Header::Absent => true,
        Header::Once(url) => instance.is(url),
        Header::Repeated => false,
    }
}

/// Tells those who are to know of a row that is stored. Nothing here changes the answer that GitLab gets.
async fn tell<L: Ledger, B: Bus, P, C: Clock>(
    event: &JobEvent,
    proof: &Proof,
    stored: record::Stored,
    ports: &Ports<'_, L, B, P, C>,
    rules: &Rules,
) -> Outcome {
    let changed = stored.changed();
    if !changed && !stored.known {
        return Outcome::Ignored(Ignored::Job { job: event.key, why: stored.recorded.plan.reason });
    }
    let limit = rules.announce_limit;
    let ((), (), announced) = tokio::join!(
        record::learn(ports.ledger, ports.clock, event.key, &stored.recorded, limit),
        projects::note(ports.ledger, ports.noted, ports.clock, event, proof, limit),
        record::announce(ports.bus, ports.clock, event.key, &stored.recorded, limit),
    );
    let why = stored.recorded.plan.reason;
    Outcome::Job(JobOutcome {
        job: event.key,
        status: event.status.clone(),
        proved_by: proof.method,
        changed,
        why,
        announced,
    })
}
