//! The router: from a waiting job to the launch that serves it.
//!
//! It loads the job's row and the mapping, lets [`runnerless_core::route`] decide, charges a launch by one conditional
//! write, and has its target invoked. The sweep does the same through the same [`Router`], so that a lost event is
//! answered as an event that came. Nothing here runs twice for one job: of any number of routers, one charge wins.

mod answer;
mod api;
mod config;
mod launch;
mod ports;
mod router;
mod word;

use runnerless_aws::AwsError;
use runnerless_core::id::JobKey;
use runnerless_core::time::Timestamp;
use runnerless_lambda_kit::Named;
use serde::Deserialize;

pub use answer::{Answer, Routed};
pub use api::{GitLabApi, TokenHolder};
pub use config::{Config, Rules};
pub use launch::{Launched, freeze_sentinel, start_target};
pub use ports::Ports;
pub use router::Router;

pub(crate) const SERVICE: &str = "router";

/// What StartRunner asks.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Find a launch for this job.
    Route {
        /// The job.
        job: JobKey,
    },
}

/// Why a job could not be routed now.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// AWS is out of reach.
    #[error(transparent)]
    Aws(#[from] AwsError),
}

impl Named for Error {
    fn name(&self) -> &'static str {
        match self {
            Self::Aws(error) => error.name(),
        }
    }
}

/// Answers StartRunner.
///
/// # Errors
/// AWS is out of reach: the job's row stays due, so that the workflow's retry or the sweep goes on from there.
pub async fn handle<P: Ports>(request: &Request, ports: &P, rules: &Rules, now: Timestamp) -> Result<Routed, AwsError> {
    let Request::Route { job } = request;
    Router { ports, rules, service: SERVICE }.route(*job, now).await
}
