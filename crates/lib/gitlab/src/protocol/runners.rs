//! GitLab as far as our runners themselves are concerned: the port of who looks after them.

use std::future::Future;

use runnerless_core::chain::chain;

use super::client::Client;
use super::enrol::{Deleted, Made, NewRunner, RunnerScope};
use super::manager::ManagerError;
use super::secret::Secret;

/// What GitLab says to a runner's token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verified {
    /// It is this runner's; `None` from a GitLab that tells no id.
    Runner(Option<u64>),
    /// It is no runner's, in GitLab's words.
    Refused(String),
    /// GitLab did not answer, or asks to come later: unknown.
    Unknown(String),
}

/// What became of a runner manager's record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Forgotten {
    /// It is gone.
    Gone,
    /// The token is no runner's any more: its managers are gone with the runner, or are not ours to remove.
    Refused(String),
    /// GitLab did not answer, or asks to come later: unknown.
    Unknown(String),
}

/// Looks after runners in GitLab.
pub trait Runners: Sync {
    /// Proves a runner's token, and keeps the runner and the manager of this system id online.
    fn verify(&self, token: &Secret, system_id: &str) -> impl Future<Output = Verified> + Send;

    /// Removes the record of the manager of this system id.
    fn forget(&self, token: &Secret, system_id: &str) -> impl Future<Output = Forgotten> + Send;

    /// Makes a runner with an API token. Asked twice it makes two.
    fn create(&self, api_token: &Secret, scope: RunnerScope, new: &NewRunner<'_>) -> impl Future<Output = Made> + Send;

    /// Makes a runner with a registration token. Asked twice it makes two.
    fn register(&self, registration_token: &Secret, new: &NewRunner<'_>) -> impl Future<Output = Made> + Send;

    /// Deletes the runner of this token, with all its managers.
    fn unregister(&self, token: &Secret) -> impl Future<Output = Deleted> + Send;
}

impl Runners for Client {
    async fn verify(&self, token: &Secret, system_id: &str) -> Verified {
        match Self::verify(self, token, Some(system_id)).await {
            Ok(id) => Verified::Runner(id),
            Err(error @ ManagerError::Refused(_)) => Verified::Refused(chain(&error)),
            Err(error @ (ManagerError::Later(_) | ManagerError::Transport(_))) => Verified::Unknown(chain(&error)),
        }
    }

    async fn forget(&self, token: &Secret, system_id: &str) -> Forgotten {
        match self.delete_manager(token, system_id).await {
            Ok(()) => Forgotten::Gone,
            Err(error @ ManagerError::Refused(_)) => Forgotten::Refused(chain(&error)),
            Err(error @ (ManagerError::Later(_) | ManagerError::Transport(_))) => Forgotten::Unknown(chain(&error)),
        }
    }

    async fn create(&self, api_token: &Secret, scope: RunnerScope, new: &NewRunner<'_>) -> Made {
        self.create_runner(api_token, scope, new).await
    }

    async fn register(&self, registration_token: &Secret, new: &NewRunner<'_>) -> Made {
        self.register_runner(registration_token, new).await
    }

    async fn unregister(&self, token: &Secret) -> Deleted {
        self.delete_runner(token).await
    }
}
