//! GitLab, as far as lost jobs are concerned.

use std::future::Future;
use std::sync::OnceLock;
use std::time::Duration;

use runnerless_core::chain::chain;
use runnerless_gitlab::protocol::{
    Client, ClientConfig, Deleted, Forgotten, Info, Made, NewRunner, RunnerScope, Runners, Secret, Update, UpdateError,
    Updated, Verified, Way,
};

/// What GitLab says to the report of a lost job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is taken.
    Taken,
    /// The job is over, waits again, or is not known: no report of it will ever be taken.
    Over(String),
    /// GitLab did not answer, or asks to come later.
    Later(String),
}

/// Tells GitLab that a job failed because its runner is gone.
pub trait Reporter: Sync {
    /// Reports `runner_system_failure`, which `retry: when:` of users knows.
    fn failed(&self, job: u64, token: &Secret) -> impl Future<Output = Answer> + Send;
}

impl Reporter for Client {
    async fn failed(&self, job: u64, token: &Secret) -> Answer {
        match self.update_job(job, token, Update::SYSTEM_FAILURE).await {
            // 202: the report stands, GitLab only still stores the log.
            Ok(Updated::Done { .. } | Updated::NotYet { .. }) => Answer::Taken,
            Err(error @ (UpdateError::NotOurs(_) | UpdateError::Refused(_) | UpdateError::ResendTrace)) => {
                Answer::Over(chain(&error))
            }
            Err(error @ (UpdateError::Later(_) | UpdateError::Transport(_))) => Answer::Later(chain(&error)),
        }
    }
}

/// Limit of one report: what GitLab does not take in time is the sweep's.
const LIMIT: Duration = Duration::from_secs(8);

/// A client that is made when the first report is due: most processes never send one, and TLS costs each of them.
#[derive(Debug)]
pub struct OnDemand {
    gitlab_url: String,
    way: Way,
    client: OnceLock<Result<Client, String>>,
}

impl OnDemand {
    /// For the GitLab at this URL, by that way.
    #[must_use]
    pub fn new(gitlab_url: impl Into<String>, way: Way) -> Self {
        Self { gitlab_url: gitlab_url.into(), way, client: OnceLock::new() }
    }

    fn client(&self) -> Result<&Client, &String> {
        let make = || {
            let info = Info::new("runnerless", env!("CARGO_PKG_VERSION"), "");
            let usual = ClientConfig::new(&self.gitlab_url, info).through(&self.way);
            let config = ClientConfig { connect_timeout: LIMIT, request_timeout: LIMIT, ..usual };
            Client::new(config).map_err(|error| chain(&error))
        };
        self.client.get_or_init(make).as_ref()
    }
}

impl Reporter for OnDemand {
    async fn failed(&self, job: u64, token: &Secret) -> Answer {
        match self.client() {
            Ok(client) => client.failed(job, token).await,
            Err(why) => Answer::Later(why.clone()),
        }
    }
}

impl Runners for OnDemand {
    async fn verify(&self, token: &Secret, system_id: &str) -> Verified {
        match self.client() {
            Ok(client) => Runners::verify(client, token, system_id).await,
            Err(why) => Verified::Unknown(why.clone()),
        }
    }

    async fn forget(&self, token: &Secret, system_id: &str) -> Forgotten {
        match self.client() {
            Ok(client) => client.forget(token, system_id).await,
            Err(why) => Forgotten::Unknown(why.clone()),
        }
    }

    async fn create(&self, api_token: &Secret, scope: RunnerScope, new: &NewRunner<'_>) -> Made {
        match self.client() {
            Ok(client) => client.create(api_token, scope, new).await,
            Err(why) => Made::Refused(why.clone()),
        }
    }

    async fn register(&self, registration_token: &Secret, new: &NewRunner<'_>) -> Made {
        match self.client() {
            Ok(client) => client.register(registration_token, new).await,
            Err(why) => Made::Refused(why.clone()),
        }
    }

    async fn unregister(&self, token: &Secret) -> Deleted {
        match self.client() {
            Ok(client) => client.unregister(token).await,
            Err(why) => Deleted::Unknown(why.clone()),
        }
    }
}
