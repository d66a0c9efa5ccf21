//! Claim as a function: its environment, and what is made once per process.

use std::sync::Arc;

use runnerless_aws::{CacheBucket, Credentials, DynamoLedger, ParameterStore, Place};
use runnerless_lambda_kit::{Call, Env, EnvError, SystemDice, now};
use serde_json::Value;

use crate::answer::Answer;
use crate::claim::{Ports, handle};
use crate::error::Error;

/// The environment's variables, see `template.yaml`.
#[derive(Debug)]
pub struct Config {
    /// `RUNNERLESS_LEDGER_TABLE`.
    pub ledger_table: String,
    /// `RUNNERLESS_PARAMETER_PATH`.
    pub parameter_path: String,
    /// `RUNNERLESS_CACHE_BUCKET`, empty where the stack keeps no caches.
    pub cache_bucket: Option<String>,
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
            parameter_path: env.text("RUNNERLESS_PARAMETER_PATH")?,
            cache_bucket: env.optional("RUNNERLESS_CACHE_BUCKET"),
            place: env.place()?,
            credentials: env.credentials()?,
        })
    }
}

/// What is made once per process.
#[derive(Debug)]
pub struct Claim {
    parameter_path: String,
    ledger: DynamoLedger,
    parameters: ParameterStore,
    caches: Option<CacheBucket>,
}

impl Claim {
    /// Made from the environment.
    ///
    /// # Errors
    /// The variable that keeps the function from starting.
    pub fn new(env: &Env) -> Result<Self, EnvError> {
        let config = Config::read(env)?;
        let bucket = |name: &String| CacheBucket::new(name, &config.place, &config.credentials);
        Ok(Self {
            caches: config.cache_bucket.as_ref().map(bucket),
            ledger: DynamoLedger::new(&config.place, &config.credentials, config.ledger_table),
            parameters: ParameterStore::new(&config.place, &config.credentials),
            parameter_path: config.parameter_path,
        })
    }

    /// Answers one call.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn serve(self: Arc<Self>, call: Call<Value>) -> Result<Answer, Error> {
        let ports = Ports {
            ledger: &self.ledger,
            parameters: &self.parameters,
            parameter_path: &self.parameter_path,
            caches: self.caches.as_ref(),
            dice: &SystemDice,
        };
        handle(&call.event, &ports, now()).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_variable_is_named() {
        let whole = [
            ("RUNNERLESS_LEDGER_TABLE", "ledger"),
            ("RUNNERLESS_PARAMETER_PATH", "/runnerless"),
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
