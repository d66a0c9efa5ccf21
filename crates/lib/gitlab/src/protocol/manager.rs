//! Calls about the runner itself: `POST runners/verify`, `DELETE runners/managers` and `DELETE runners`.

use std::time::Duration;

use reqwest::Method;
use serde::{Deserialize, Serialize};

use super::client::{Answer, Client};
use super::error::{Refusal, TransportError};
use super::info::Info;
use super::secret::Secret;

/// Attempts of a call, the first included; the official runner makes as many.
const ATTEMPTS: u32 = 5;
/// First wait between attempts; doubles each time.
const FIRST_WAIT: Duration = Duration::from_millis(200);
/// Longest wait that `Retry-After` may ask of us: these calls are made inside short-lived functions.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// The call about the runner failed.
#[derive(Debug, thiserror::Error)]
pub enum ManagerError {
    /// GitLab answered and said no; asking again will not help.
    #[error(transparent)]
    Refused(Refusal),
    /// GitLab said "later" until our attempts were used up.
    #[error(transparent)]
    Later(Refusal),
    /// No answer until our attempts were used up.
    #[error(transparent)]
    Transport(#[from] TransportError),
}

#[derive(Deserialize)]
struct Verified {
    id: u64,
}

#[derive(Serialize)]
struct Body<'a> {
    token: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    system_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    info: Option<&'a Info>,
}

impl Client {
    /// Proves the runner's token and keeps the runner online; records this system id's features, without which GitLab
    /// believes that jobs cannot be cancelled gracefully. Answers the runner's id, which very old versions do not send.
    ///
    /// # Errors
    /// [`ManagerError::Refused`] with 403 for a wrong token, 422 for a runner without a project or group.
    pub async fn verify(&self, token: &Secret, system_id: Option<&str>) -> Result<Option<u64>, ManagerError> {
        let body = Body { token: token.expose(), system_id, info: Some(self.info()) };
        let answer = self.repeat("POST runners/verify", Method::POST, "runners/verify", token, &body).await?;
        Ok(serde_json::from_slice::<Verified>(&answer.body).ok().map(|verified| verified.id))
    }

    /// Removes this system id's manager record. A record that is not there is as good as removed.
    ///
    /// # Errors
    /// [`ManagerError::Refused`] with 403 for a wrong token, 400 for a system id that is none.
    pub async fn delete_manager(&self, token: &Secret, system_id: &str) -> Result<(), ManagerError> {
        let body = Body { token: token.expose(), system_id: Some(system_id), info: None };
        let done = self.repeat("DELETE runners/managers", Method::DELETE, "runners/managers", token, &body).await;
        match done {
            Err(ManagerError::Refused(refusal)) if refusal.status == 404 => Ok(()),
            other => other.map(drop),
        }
    }

    /// Deletes the runner of this token.
    pub(super) async fn delete_by_token(&self, token: &Secret) -> Result<(), ManagerError> {
        let body = Body { token: token.expose(), system_id: None, info: None };
        self.repeat("DELETE runners", Method::DELETE, "runners", token, &body).await.map(drop)
    }

    /// The calls are idempotent, so an attempt whose answer was lost is simply repeated.
    async fn repeat(
        &self,
        operation: &'static str,
        method: Method,
        path: &str,
        token: &Secret,
        body: &Body<'_>,
    ) -> Result<Answer, ManagerError> {
        let mut wait = FIRST_WAIT;
        let mut attempt = 1;
        loop {
            let request = self.json(method.clone(), path, body).header("RUNNER-TOKEN", token.expose());
            let failure = match Answer::of(operation, request).await {
                Ok(answer) if answer.status.is_success() => return Ok(answer),
                Ok(answer) if !answer.refusal().is_temporary() => return Err(ManagerError::Refused(answer.refusal())),
                Ok(answer) => ManagerError::Later(answer.refusal()),
                Err(error) => ManagerError::Transport(error),
            };
            if attempt == ATTEMPTS {
                return Err(failure);
            }
            let asked = match &failure {
                ManagerError::Later(refusal) => refusal.retry_after.unwrap_or(wait),
                ManagerError::Refused(_) | ManagerError::Transport(_) => wait,
            };
            tokio::time::sleep(asked.min(LONGEST_WAIT)).await;
            wait *= 2;
            attempt += 1;
        }
    }
}
