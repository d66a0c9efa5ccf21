//! From GitLab's 201 to a job that is ours: bind, accept, or give it back.
//!
//! All times count from the 201, on the monotonic clock. GitLab offers a job that nobody accepted to others after two
//! minutes; so binding may take thirty seconds, accepting is over after sixty, and after ninety nothing at all is sent
//! for a job that was not accepted, because it may be another runner's by then.

use std::time::Duration;

use runnerless_gitlab::protocol::{Client, JobStatus, Secret, Update, UpdateError, Updated};
use tokio::time::{Instant, sleep, timeout_at};

use crate::config::{Host, JobIds};
use crate::stop::Stop;
use runnerless_core::cache::NamedCaches;
use runnerless_core::chain::chain;

/// A bind that takes longer is refused.
pub const BIND_LIMIT: Duration = Duration::from_secs(30);
/// Acceptance is not tried after this.
pub const ACCEPT_LIMIT: Duration = Duration::from_secs(60);
/// Nothing is sent for a job that was not accepted after this.
pub const SILENCE_LIMIT: Duration = Duration::from_secs(90);

/// First wait between two attempts of one step; doubles.
const FIRST_WAIT: Duration = Duration::from_millis(200);
/// Longest wait between two attempts.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// The job is ours.
#[derive(Debug)]
pub(crate) struct Accepted {
    /// Its state at that moment: a user may have cancelled it already.
    pub(crate) status: Option<JobStatus>,
    /// How often GitLab wants the log.
    pub(crate) interval: Option<Duration>,
}

/// One job between its 201 and its acceptance.
#[derive(Debug)]
pub(crate) struct Offer<'a> {
    pub(crate) client: &'a Client,
    pub(crate) id: u64,
    pub(crate) token: &'a Secret,
    pub(crate) ids: &'a JobIds,
    /// The caches that it names.
    pub(crate) caches: &'a NamedCaches,
    /// When the 201 arrived.
    pub(crate) at: Instant,
}

impl Offer<'_> {
    /// Binds and accepts.
    ///
    /// # Errors
    /// Why the job was given back; that has happened then.
    pub(crate) async fn take(&self, host: &impl Host, stop: &mut Stop) -> Result<Accepted, String> {
        let taken = async {
            match timeout_at(self.at + BIND_LIMIT, host.bind(self.ids, self.token, self.caches)).await {
                Ok(Ok(())) => self.accept().await,
                Ok(Err(refused)) => Err(format!("the job was not bound: {refused}")),
                Err(_) => Err(format!("the job was not bound within {} seconds", BIND_LIMIT.as_secs())),
            }
        };
        let taken = tokio::select! {
            taken = taken => taken,
            () = stop.asked() => Err("the runner was told to end".to_owned()),
        };
        if taken.is_err() {
            self.give_back(host).await;
        }
        taken
    }

    async fn accept(&self) -> Result<Accepted, String> {
        let limit = self.at + ACCEPT_LIMIT;
        let mut wait = FIRST_WAIT;
        loop {
            if Instant::now() >= limit {
                return Err(late());
            }
            let error = match timeout_at(limit, self.client.update_job(self.id, self.token, Update::ACCEPT)).await {
                Err(_) => return Err(late()),
                Ok(Ok(Updated::Done { status, interval })) => return accepted(status, interval),
                Ok(Ok(Updated::NotYet { interval })) => return accepted(None, interval),
                Ok(Err(error)) => error,
            };
            let pause = match &error {
                UpdateError::NotOurs(_) | UpdateError::Refused(_) | UpdateError::ResendTrace => {
                    return Err(format!("the job is not ours any more: {}", chain(&error)));
                }
                UpdateError::Later(refusal) => refusal.retry_after.unwrap_or(wait).max(FIRST_WAIT),
                UpdateError::Transport(_) => wait,
            };
            sleep(pause.min(LONGEST_WAIT)).await;
            wait *= 2;
        }
    }

    /// Gives the job back: the record first, then GitLab, which refuses the report while the job is only offered (it
    /// stays pending then) and takes it where jobs run from the 201 on.
    async fn give_back(&self, host: &impl Host) {
        let limit = self.at + SILENCE_LIMIT;
        // Too late to matter is as good as done: the bind's own condition protects a later owner.
        let _ = timeout_at(limit, host.unbind(self.ids)).await;
        let mut wait = FIRST_WAIT;
        while Instant::now() < limit {
            let told = timeout_at(limit, self.client.update_job(self.id, self.token, Update::SYSTEM_FAILURE)).await;
            match told {
                Ok(Err(UpdateError::Later(_) | UpdateError::Transport(_))) => {}
                // Any other answer is GitLab's last word about this job to us.
                _ => return,
            }
            let _ = timeout_at(limit, sleep(wait.min(LONGEST_WAIT))).await;
            wait *= 2;
        }
    }
}

/// An answer of 200 for a job that has ended already is no acceptance.
fn accepted(status: Option<JobStatus>, interval: Option<Duration>) -> Result<Accepted, String> {
    match &status {
        Some(status) if status.is_final() => Err("the job has ended already".to_owned()),
        _ => Ok(Accepted { status, interval }),
    }
}

fn late() -> String {
    format!("the job was not accepted within {} seconds", ACCEPT_LIMIT.as_secs())
}
