//! What the provisioner reads from its environment.

use runnerless_aws::{DynamoLedger, ParameterStore};
use runnerless_aws_ec2::Ec2Fleet;
use runnerless_core::moves::Ours;
use runnerless_core::official::Official;
use runnerless_lambda_kit::{Env, EnvError, SystemClock};
use runnerless_lost::OnDemand;

use crate::{Office, Provisioner, SERVICE, Shared};

/// What is made once per process.
#[derive(Debug)]
pub struct Config {
    ledger: DynamoLedger,
    fleet: Ec2Fleet,
    /// `RUNNERLESS_STACK` and `RUNNERLESS_INSTANCE_PROFILE`; an empty profile says that the stack launches none.
    ours: Option<Ours>,
    parameters: ParameterStore,
    parameter_path: String,
    gitlab: OnDemand,
    official: Option<Official>,
    shared: Shared,
}

impl Config {
    /// Reads the environment.
    ///
    /// # Errors
    /// The variable that is missing or cannot be read.
    pub fn read(env: &Env) -> Result<Self, EnvError> {
        let (credentials, stack) = (env.credentials()?, env.text("RUNNERLESS_STACK")?);
        let (place, way) = env.way("RUNNERLESS_PROXY", "RUNNERLESS_CA_FILE")?;
        Ok(Self {
            ledger: DynamoLedger::new(&place, &credentials, env.text("RUNNERLESS_LEDGER_TABLE")?),
            fleet: Ec2Fleet::new(&place, &credentials),
            ours: env.optional("RUNNERLESS_INSTANCE_PROFILE").map(|profile| Ours { stack, profile }),
            parameters: ParameterStore::new(&place, &credentials),
            parameter_path: env.text("RUNNERLESS_PARAMETER_PATH")?,
            gitlab: OnDemand::new(env.text("RUNNERLESS_GITLAB_URL")?, way),
            official: official(env)?,
            shared: Shared::default(),
        })
    }

    /// The provisioner over AWS.
    #[must_use]
    pub fn provisioner(&self) -> Provisioner<'_, DynamoLedger, Ec2Fleet, SystemClock, ParameterStore, OnDemand> {
        let office = Office {
            parameters: &self.parameters,
            parameter_path: &self.parameter_path,
            runners: &self.gitlab,
            official: self.official.as_ref(),
            shared: &self.shared,
        };
        Provisioner {
            ledger: &self.ledger,
            fleet: &self.fleet,
            clock: &SystemClock,
            ours: self.ours.as_ref(),
            office,
            service: SERVICE,
        }
    }
}

/// `RUNNERLESS_EC2_RUNNER`: which program runs the jobs of instances. `None` for ours.
///
/// # Errors
/// It is missing, or names none.
pub fn official(env: &Env) -> Result<Option<Official>, EnvError> {
    const NAME: &str = "RUNNERLESS_EC2_RUNNER";
    match env.text(NAME)?.as_str() {
        "own" => Ok(None),
        text => match Official::try_from(text.to_owned()) {
            Ok(official) => Ok(Some(official)),
            Err(_) => Err(EnvError::Wrong { name: NAME, value: text.to_owned(), what: "own, shell or docker:<image>" }),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_program_runs_the_jobs_is_said_and_not_guessed() {
        let read = |value: &'static str| official(&Env::of([("RUNNERLESS_EC2_RUNNER", value)]));
        assert_eq!(read("own"), Ok(None));
        assert_eq!(read("shell"), Ok(Some(Official::Shell)));
        assert_eq!(read("docker:alpine:3"), Ok(Some(Official::Docker("alpine:3".to_owned()))));
        assert!(matches!(read(""), Err(EnvError::Missing(_))));
        assert!(matches!(read("official"), Err(EnvError::Wrong { .. })));
    }
}
