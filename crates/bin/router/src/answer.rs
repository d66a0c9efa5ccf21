//! What became of a job, in words that the workflow knows.

use runnerless_core::id::LaunchId;
use runnerless_core::time::Timestamp;
use serde::Serialize;

/// What became of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Routed {
    /// A launch is under way.
    Launched {
        /// Which.
        launch: LaunchId,
        /// Why so.
        reason: String,
    },
    /// A launch is charged, and its instance is the provisioner's to start.
    Provision {
        /// Which.
        launch: LaunchId,
        /// Why so.
        reason: String,
    },
    /// It has a launch, a runner or an end: nothing is to be done.
    Already(String),
    /// It is launched for later.
    Held {
        /// When it is looked at again.
        until: Timestamp,
        /// Why.
        reason: String,
    },
    /// No lane of ours is for it.
    NotOurs(String),
    /// There is no such row.
    Nothing(String),
}

/// The function's answer; `start-runner.asl.json` chooses by `outcome`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// `launched`, `provision`, `already`, `held`, `not_ours` or `nothing`.
    pub outcome: &'static str,
    /// The launch, if one is under way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub launch: Option<LaunchId>,
    /// Why.
    pub reason: String,
}

impl From<&Routed> for Answer {
    fn from(routed: &Routed) -> Self {
        let answer = |outcome, launch: Option<&LaunchId>, reason: &str| Self {
            outcome,
            launch: launch.cloned(),
            reason: reason.to_owned(),
        };
        match routed {
            Routed::Launched { launch, reason } => answer("launched", Some(launch), reason),
            Routed::Provision { launch, reason } => answer("provision", Some(launch), reason),
            Routed::Already(reason) => answer("already", None, reason),
            Routed::Held { reason, .. } => answer("held", None, reason),
            Routed::NotOurs(reason) => answer("not_ours", None, reason),
            Routed::Nothing(reason) => answer("nothing", None, reason),
        }
    }
}
