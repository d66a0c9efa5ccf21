//! A runner at GitLab that is made for one launch alone: of a lane whose jobs may not meet each other's runner, or whose
//! token only registers runners.

use serde::{Deserialize, Serialize};

use crate::id::LaunchId;
use crate::sealed::SealedToken;
use crate::time::Timestamp;

/// By which right a launch's runner is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Maker {
    /// The stack's API token.
    ApiToken,
    /// The lane's legacy registration token.
    RegistrationToken,
}

/// The runner of one launch. It is in the launch's row before GitLab is asked for it, so that none is made of which nobody
/// knows that it may be there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OwnRunner {
    /// By which right.
    pub by: Maker,
    /// When GitLab was asked for it.
    pub asked_at: Timestamp,
    /// GitLab's id of it; `None` until GitLab has answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<u64>,
    /// Its token, sealed under what the lane's parameter holds. Erased when the launch is closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<SealedToken>,
}

/// What GitLab calls the runner of a launch in its lists. Nothing is ever found by it: people look for it.
#[must_use]
pub fn own_runner_name(launch: &LaunchId) -> String {
    format!("runnerless {launch}")
}
