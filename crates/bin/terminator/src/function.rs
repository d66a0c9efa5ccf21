//! The terminator as a function: its environment, and what is made once per process.

use std::sync::Arc;

use runnerless_aws::ports::{Ledger, Parameters};
use runnerless_aws::{Credentials, DynamoLedger, ParameterStore, Place};
use runnerless_aws_ec2::{Ec2Fleet, Fleet};
use runnerless_core::moves::Ours;
use runnerless_gitlab::protocol::{Runners, Way};
use runnerless_instances::{Ec2, Instances};
use runnerless_lambda_kit::{Call, Clock, Env, EnvError, SystemClock, metrics};
use runnerless_lost::{LostJobs, OnDemand, Reporter};
use serde_json::Value;

use crate::error::Error;
use crate::event::Work;
use crate::failed::failed;
use crate::interrupted::interrupted;
use crate::outcome::Outcome;
use crate::settle::settle;

/// The environment's variables, see `template.yaml`.
#[derive(Debug)]
pub struct Config {
    /// `RUNNERLESS_LEDGER_TABLE`.
    pub ledger_table: String,
    /// `RUNNERLESS_PARAMETER_PATH`.
    pub parameter_path: String,
    /// `RUNNERLESS_GITLAB_URL`: the only GitLab that is ever called.
    pub gitlab_url: String,
    /// `RUNNERLESS_STACK` and `RUNNERLESS_INSTANCE_PROFILE`: what this stack's instances look like. An empty profile
    /// says that it launches none.
    pub ours: Option<Ours>,
    /// `RUNNERLESS_PROXY` and `RUNNERLESS_CA_FILE`, for GitLab and AWS.
    pub way: Way,
    /// Where AWS is, by that way.
    pub place: Place,
    /// Who we are there.
    pub credentials: Credentials,
}

impl Config {
    /// Reads it.
    ///
    /// # Errors
    /// The first variable that is missing.
    pub fn read(env: &Env) -> Result<Self, EnvError> {
        let stack = env.text("RUNNERLESS_STACK")?;
        let (place, way) = env.way("RUNNERLESS_PROXY", "RUNNERLESS_CA_FILE")?;
        Ok(Self {
            ours: env.optional("RUNNERLESS_INSTANCE_PROFILE").map(|profile| Ours { stack, profile }),
            ledger_table: env.text("RUNNERLESS_LEDGER_TABLE")?,
            parameter_path: env.text("RUNNERLESS_PARAMETER_PATH")?,
            gitlab_url: env.text("RUNNERLESS_GITLAB_URL")?,
            way,
            place,
            credentials: env.credentials()?,
        })
    }
}

/// What is made once per process.
#[derive(Debug)]
pub struct Terminator {
    ledger: DynamoLedger,
    parameters: ParameterStore,
    parameter_path: String,
    gitlab: OnDemand,
    fleet: Ec2Fleet,
    ours: Option<Ours>,
}

impl Terminator {
    /// Made from the environment.
    ///
    /// # Errors
    /// The variable that keeps the function from starting.
    pub fn new(env: &Env) -> Result<Self, EnvError> {
        let config = Config::read(env)?;
        Ok(Self {
            ledger: DynamoLedger::new(&config.place, &config.credentials, config.ledger_table),
            parameters: ParameterStore::new(&config.place, &config.credentials),
            parameter_path: config.parameter_path,
            gitlab: OnDemand::new(config.gitlab_url, config.way),
            fleet: Ec2Fleet::new(&config.place, &config.credentials),
            ours: config.ours,
        })
    }

    /// Serves one invocation.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn serve(self: Arc<Self>, call: Call<Value>) -> Result<Outcome, Error> {
        let jobs = LostJobs {
            ledger: &self.ledger,
            parameters: &self.parameters,
            parameter_path: &self.parameter_path,
            reporter: &self.gitlab,
        };
        let ec2 = Ec2 { fleet: &self.fleet, runners: &self.gitlab, ours: self.ours.as_ref() };
        handle(Work::read(&call.event)?, &jobs, ec2, &SystemClock).await
    }
}

/// Does one piece of work.
///
/// # Errors
/// A ledger out of reach, or EC2: what is to be done then stays due.
pub async fn handle<L: Ledger, P: Parameters, R: Reporter, F: Fleet, G: Runners, C: Clock>(
    work: Work,
    jobs: &LostJobs<'_, L, P, R>,
    ec2: Ec2<'_, F, G>,
    clock: &C,
) -> Result<Outcome, Error> {
    let LostJobs { ledger, parameters, parameter_path, .. } = *jobs;
    let instances = Instances {
        ledger,
        parameters,
        parameter_path,
        fleet: ec2.fleet,
        runners: ec2.runners,
        clock,
        service: "terminator",
        tells: metrics::unaccounted,
    };
    match work {
        Work::Settle { job, launch } => settle(&instances, job, launch, clock.now()).await,
        Work::Failed { launch, failure } => failed(jobs, launch.as_deref(), &failure, clock).await,
        Work::Interrupted(instance) => interrupted(jobs, &instances, ec2.ours, &instance, clock.now()).await,
    }
}
