//! GitLab as far as our runners themselves are concerned: the port of who looks after them.

use std::future::Future;

use runnerless_core::chain::chain;

use super::client::Client;
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
}
