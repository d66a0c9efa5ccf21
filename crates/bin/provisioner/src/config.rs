//! What the provisioner reads from its environment.

use runnerless_aws::DynamoLedger;
use runnerless_aws_ec2::Ec2Fleet;
use runnerless_lambda_kit::{Env, EnvError, SystemClock};

use crate::{Provisioner, SERVICE};

/// What is made once per process.
#[derive(Debug)]
pub struct Config {
    ledger: DynamoLedger,
    fleet: Ec2Fleet,
}

impl Config {
    /// Reads the environment.
    ///
    /// # Errors
    /// The variable that is missing or cannot be read.
    pub fn read(env: &Env) -> Result<Self, EnvError> {
        let (place, credentials) = (env.place()?, env.credentials()?);
        Ok(Self {
            ledger: DynamoLedger::new(&place, &credentials, env.text("RUNNERLESS_LEDGER_TABLE")?),
            fleet: Ec2Fleet::new(&place, &credentials),
        })
    }

    /// The provisioner over AWS.
    #[must_use]
    pub const fn provisioner(&self) -> Provisioner<'_, DynamoLedger, Ec2Fleet, SystemClock> {
        Provisioner { ledger: &self.ledger, fleet: &self.fleet, clock: &SystemClock, service: SERVICE }
    }
}
