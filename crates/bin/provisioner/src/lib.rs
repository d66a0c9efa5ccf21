//! The provisioner: from a charged launch to the instance that serves it.
//!
//! It sees to the launch's runner at GitLab, sends the request that was frozen with the launch, and does what
//! [`runnerless_core::moves::answered`] says of the answer. It may be called any number of times for one launch, and may die
//! anywhere: the row and EC2's token for the request tell the next one where to go on. The sweep calls the same
//! [`Provisioner`].

mod answer;
mod config;
mod enrol;
mod making;
mod provisioner;

use runnerless_aws::AwsError;
use runnerless_aws::ports::{Ledger, Parameters};
use runnerless_aws_ec2::Fleet;
use runnerless_core::id::{JobKey, LaunchId};
use runnerless_gitlab::protocol::Runners;
use runnerless_lambda_kit::{Clock, Named};
use serde::Deserialize;

pub use answer::{Answer, Provisioned};
pub use config::{Config, official};
pub use enrol::{Office, Shared};
pub use making::{MakingRight, making_right};
pub use provisioner::Provisioner;

pub(crate) const SERVICE: &str = "provisioner";

/// What StartRunner asks.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Start this launch's instance.
    Provision {
        /// The launch.
        launch: LaunchId,
        /// The job that it was charged to, if the caller says so: it spares a read, and decides nothing.
        #[serde(default)]
        job: Option<JobKey>,
    },
}

/// Why a launch has no instance now.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// AWS is out of reach, or it is unknown whether an instance was started: the same request is sent again.
    #[error(transparent)]
    Aws(#[from] AwsError),
    /// EC2 knows the request's token and shows no instance yet.
    #[error("{0}")]
    Unsure(String),
    /// EC2 refuses the request as it is: the stack, the mapping row or the account is to be changed. The job waits.
    #[error("{0}")]
    Refused(String),
}

impl Named for Error {
    fn name(&self) -> &'static str {
        match self {
            Self::Aws(error) => error.name(),
            Self::Unsure(_) => "Fleet.Unsure",
            Self::Refused(_) => "Fleet.Refused",
        }
    }
}

/// Answers StartRunner.
///
/// # Errors
/// See [`Error`]. What failed stays in the launch's row, so that the workflow's retry or the sweep goes on from there.
pub async fn handle<L: Ledger, F: Fleet, C: Clock, P: Parameters, G: Runners>(
    request: &Request,
    provisioner: &Provisioner<'_, L, F, C, P, G>,
) -> Result<Answer, Error> {
    let Request::Provision { launch, job } = request;
    match provisioner.provision(launch, *job).await? {
        Provisioned::Refused(why) => Err(Error::Refused(why)),
        Provisioned::Unsure(why) => Err(Error::Unsure(why)),
        provisioned => Ok(Answer::from(&provisioned)),
    }
}
