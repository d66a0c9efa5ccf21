//! The terminator as a function: its environment, and what is made once per process.

use std::sync::Arc;

use runnerless_aws::ports::Ledger;
use runnerless_aws::{Credentials, DynamoLedger, Place};
use runnerless_core::time::Timestamp;
use runnerless_lambda_kit::{Call, Env, EnvError, now};
use serde_json::Value;

use crate::error::Error;
use crate::event::Work;
use crate::failed::failed;
use crate::outcome::Outcome;
use crate::settle::settle;

/// The environment's variables, see `template.yaml`.
#[derive(Debug)]
pub struct Config {
    /// `RUNNERLESS_LEDGER_TABLE`.
    pub ledger_table: String,
    /// Where AWS is.
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
        Ok(Self {
            ledger_table: env.text("RUNNERLESS_LEDGER_TABLE")?,
            place: env.place()?,
            credentials: env.credentials()?,
        })
    }
}

/// What is made once per process.
#[derive(Debug)]
pub struct Terminator {
    ledger: DynamoLedger,
}

impl Terminator {
    /// Made from the environment.
    ///
    /// # Errors
    /// The variable that keeps the function from starting.
    pub fn new(env: &Env) -> Result<Self, EnvError> {
        let config = Config::read(env)?;
        Ok(Self { ledger: DynamoLedger::new(&config.place, &config.credentials, config.ledger_table) })
    }

    /// Serves one invocation.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn serve(self: Arc<Self>, call: Call<Value>) -> Result<Outcome, Error> {
        handle(&call.event, &self.ledger, now()).await
    }
}

/// Serves one event.
///
/// # Errors
/// An event that is none, or a ledger out of reach: what is to be done then stays due.
pub async fn handle<L: Ledger>(event: &Value, ledger: &L, now: Timestamp) -> Result<Outcome, Error> {
    match Work::read(event)? {
        Work::Settle(job) => settle(ledger, job, now).await,
        Work::Failed { launch, failure } => failed(ledger, launch.as_deref(), &failure, now).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_variable_is_named() {
        let whole = [
            ("RUNNERLESS_LEDGER_TABLE", "ledger"),
            ("AWS_REGION", "eu-west-1"),
            ("AWS_ACCESS_KEY_ID", "key"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
        ];
        assert!(Config::read(&Env::of(whole)).is_ok());
        for (missing, _) in whole {
            let without = whole.map(|(name, value)| (name, if name == missing { "" } else { value }));
            assert_eq!(Config::read(&Env::of(without)).unwrap_err(), EnvError::Missing(missing));
        }
    }
}
