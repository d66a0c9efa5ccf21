//! A run that did not do its work.

use runnerless_aws::AwsError;
use runnerless_lambda_kit::Named;

/// A run that did not do its work. The pool is as it was, and the next run decides anew.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// AWS is out of reach, refuses, or has a row that cannot be read.
    #[error(transparent)]
    Aws(#[from] AwsError),
    /// There is no such group.
    #[error("there is no Auto Scaling group {0}; the stack's parameter GroupName names it")]
    NoGroup(String),
    /// Everything that was tried failed; each has its own line in the log.
    #[error("nothing could be done: {0} actions failed")]
    NothingDone(u64),
}

impl Named for Error {
    fn name(&self) -> &'static str {
        match self {
            Self::Aws(error) => error.name(),
            Self::NoGroup(_) => "Pool.NoGroup",
            Self::NothingDone(_) => "Pool.NothingDone",
        }
    }
}
