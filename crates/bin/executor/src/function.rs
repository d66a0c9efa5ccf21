//! The executor as a function: what is made once per process.

use std::sync::Arc;
use std::time::Duration;

use runnerless_aws::{DynamoLedger, ParameterStore};
use runnerless_core::chain::chain;
use runnerless_core::limits;
use runnerless_gitlab::protocol::{Client, ClientConfig, ConfigError, Info};
use runnerless_lambda_kit::{Call, Env, EnvError, now};
use serde_json::Value;

use crate::config::Config;
use crate::error::Error;
use crate::outcome::Outcome;
use crate::sandbox::Sandbox;
use crate::served::{Ports, handle};
use crate::surroundings::Settings;
use crate::termination::Termination;

/// The program's name, as GitLab's runner list shows it.
const NAME: &str = "runnerless-executor";

/// What is made once per process: clients, whose TLS roots are read once, and settings.
#[derive(Debug)]
pub struct Executor {
    settings: Settings,
    ledger: DynamoLedger,
    parameters: ParameterStore,
    /// Without a client the process still tells the ledger why a launch ends.
    gitlab: Result<Client, String>,
    termination: Termination,
}

impl Executor {
    /// Made from the environment.
    ///
    /// # Errors
    /// The variable that keeps the function from starting.
    pub fn new(env: &Env) -> Result<Self, EnvError> {
        let config = Config::read(env)?;
        let info = Info::new(NAME, env!("CARGO_PKG_VERSION"), "");
        // What closes a launch counts on no request being answered later than this.
        let request_timeout = Duration::from_millis(limits::ASK_TIMEOUT.0.unsigned_abs());
        let gitlab =
            ClientConfig { request_timeout, ..ClientConfig::new(&config.gitlab_url, info).through(&config.way) };
        let gitlab = match Client::new(gitlab) {
            Err(ConfigError::Url(value)) => {
                let what = "GitLab's URL, such as https://gitlab.example.com";
                return Err(EnvError::Wrong { name: "RUNNERLESS_GITLAB_URL", value, what });
            }
            client => client.map_err(|error| chain(&error)),
        };
        let sandbox = Sandbox::new(config.sandbox, config.scrub.clone()).map_err(|error| EnvError::Wrong {
            name: "RUNNERLESS_SCRUB",
            value: chain(&error),
            what: "folders that can be listed",
        })?;
        Ok(Self {
            settings: Settings::new(&config, sandbox),
            ledger: DynamoLedger::new(&config.place, &config.credentials, config.ledger_table.clone()),
            parameters: ParameterStore::new(&config.place, &config.credentials),
            gitlab,
            termination: Termination::default(),
        })
    }

    /// Serves one invocation.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn serve(self: Arc<Self>, call: Call<Value>) -> Result<Outcome, Error> {
        let gitlab = self.gitlab.as_ref().map_err(Clone::clone);
        let ports = Ports { ledger: &self.ledger, parameters: &self.parameters, gitlab, clock: now };
        let answer = handle(&call, &ports, &self.settings, self.termination.told()).await;
        self.stay_fit().await;
        answer
    }

    /// Ends this process when it must not serve another launch: Lambda starts a new one. The launch is over by now, in
    /// the ledger and for GitLab, so that the invocation's record of a failure changes nothing any more.
    async fn stay_fit(&self) {
        if self.termination.was_told() {
            // A job can send the signal as well as Lambda. A process that goes on would end each later job for it.
            tracing::warn!(target: "runnerless", service = "executor", "the process was told to end, and ends");
            std::process::exit(0);
        }
        if let Err(error) = self.settings.sandbox.leave().await {
            let error = chain(&error);
            tracing::error!(target: "runnerless", service = "executor", error, "the process ends, because it cannot be made clean");
            std::process::exit(1);
        }
    }
}
