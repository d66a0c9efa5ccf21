//! What the provisioner reads from its environment.

use runnerless_aws::DynamoLedger;
use runnerless_aws_ec2::Ec2Fleet;
use runnerless_core::moves::Ours;
use runnerless_lambda_kit::{Env, EnvError, SystemClock};

use crate::{Provisioner, SERVICE};

/// What is made once per process.
#[derive(Debug)]
pub struct Config {
    ledger: DynamoLedger,
    fleet: Ec2Fleet,
    /// `RUNNERLESS_STACK` and `RUNNERLESS_INSTANCE_PROFILE`; an empty profile says that the stack launches none.
    ours: Option<Ours>,
}

impl Config {
    /// Reads the environment.
    ///
    /// # Errors
    /// The variable that is missing or cannot be read.
    pub fn read(env: &Env) -> Result<Self, EnvError> {
        let (place, credentials, stack) = (env.place()?, env.credentials()?, env.text("RUNNERLESS_STACK")?);
        Ok(Self {
            ledger: DynamoLedger::new(&place, &credentials, env.text("RUNNERLESS_LEDGER_TABLE")?),
            fleet: Ec2Fleet::new(&place, &credentials),
            ours: env.optional("RUNNERLESS_INSTANCE_PROFILE").map(|profile| Ours { stack, profile }),
        })
    }

    /// The provisioner over AWS.
    #[must_use]
    pub const fn provisioner(&self) -> Provisioner<'_, DynamoLedger, Ec2Fleet, SystemClock> {
        Provisioner {
            ledger: &self.ledger,
            fleet: &self.fleet,
            clock: &SystemClock,
            ours: self.ours.as_ref(),
            service: SERVICE,
        }
    }
}
