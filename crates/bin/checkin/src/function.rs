//! Checkin as a function: its environment, and what is made once per process.

use std::sync::Arc;

use runnerless_aws::{CacheBucket, Credentials, DynamoLedger, ParameterStore, Place};
use runnerless_aws_ec2::Ec2Fleet;
use runnerless_core::chain::chain;
use runnerless_lambda_kit::{Call, Env, EnvError, Named as _, metrics, now};
use serde_json::json;

use crate::error::Error;
use crate::memory::Memory;
use crate::wire::{Http, Reply, Role};
use crate::{Ports, SERVICE, Settings, handle};

/// The environment's variables, see `template.yaml`.
#[derive(Debug)]
pub struct Config {
    /// `RUNNERLESS_LEDGER_TABLE`.
    pub ledger_table: String,
    /// `RUNNERLESS_PARAMETER_PATH`, `RUNNERLESS_GITLAB_URL`, `RUNNERLESS_IMAGE_POLICY`, `RUNNERLESS_CACHE_BUCKET`, which is
    /// empty where the stack keeps no caches, and `RUNNERLESS_INSTANCE_ROLE`, which is where it launches no instances.
    pub settings: Settings,
    /// Where AWS is.
    pub place: Place,
    /// Who we are there.
    pub credentials: Credentials,
}

impl Config {
    /// Reads it.
    ///
    /// # Errors
    /// The first variable that is missing or wrong.
    pub fn read(env: &Env) -> Result<Self, EnvError> {
        let (place, credentials) = (env.place()?, env.credentials()?);
        let bucket = |name: String| CacheBucket::new(&name, &place, &credentials);
        Ok(Self {
            ledger_table: env.text("RUNNERLESS_LEDGER_TABLE")?,
            settings: Settings {
                parameter_path: env.text("RUNNERLESS_PARAMETER_PATH")?,
                gitlab_url: env.text("RUNNERLESS_GITLAB_URL")?,
                image_policy: env.text("RUNNERLESS_IMAGE_POLICY")?,
                caches: env.optional("RUNNERLESS_CACHE_BUCKET").map(bucket),
                role: role(env)?,
            },
            place,
            credentials,
        })
    }
}

fn role(env: &Env) -> Result<Option<Role>, EnvError> {
    const NAME: &str = "RUNNERLESS_INSTANCE_ROLE";
    let Some(value) = env.optional(NAME) else { return Ok(None) };
    match Role::of_arn(&value) {
        Some(role) => Ok(Some(role)),
        None => Err(EnvError::Wrong { name: NAME, value, what: "the ARN of a role, or empty" }),
    }
}

/// What is made once per process.
#[derive(Debug)]
pub struct Checkin {
    settings: Settings,
    ledger: DynamoLedger,
    parameters: ParameterStore,
    fleet: Ec2Fleet,
    memory: Memory,
}

impl Checkin {
    /// Made from the environment.
    ///
    /// # Errors
    /// The variable that keeps the function from starting.
    pub fn new(env: &Env) -> Result<Self, EnvError> {
        let config = Config::read(env)?;
        Ok(Self {
            ledger: DynamoLedger::new(&config.place, &config.credentials, config.ledger_table),
            parameters: ParameterStore::new(&config.place, &config.credentials),
            fleet: Ec2Fleet::new(&config.place, &config.credentials),
            settings: config.settings,
            memory: Memory::default(),
        })
    }

    /// Answers one request. Every caller gets a status and JSON; what this side could not do is logged here, and counted
    /// where it does not pass by itself.
    ///
    /// # Errors
    /// None: an error would reach the caller as API Gateway's own words.
    pub async fn serve(self: Arc<Self>, call: Call<Http>) -> Result<Reply, Error> {
        let Self { ledger, parameters, fleet, settings, memory } = &*self;
        let ports = Ports { ledger, parameters, fleet, settings, memory };
        let error = match handle(&call.event, &ports, now()).await {
            Ok(reply) => return Ok(reply),
            Err(error) => error,
        };
        let reply = Reply::of_error(&error);
        let (name, message, status) = (error.name(), chain(&error), reply.status());
        if matches!(reply, Reply::Failed(_)) {
            tracing::error!(target: "runnerless", service = SERVICE, "error.name" = name, error = message, "the call failed");
            metrics::trouble(SERVICE, "CheckInsFailed", 1, &json!({"error.name": name}));
        } else {
            tracing::warn!(target: "runnerless", service = SERVICE, "error.name" = name, error = message, status, "the call was turned away");
        }
        Ok(reply)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: [(&str, &str); 8] = [
        ("RUNNERLESS_LEDGER_TABLE", "ledger"),
        ("RUNNERLESS_PARAMETER_PATH", "/runnerless"),
        ("RUNNERLESS_GITLAB_URL", "https://gitlab.example.com"),
        ("RUNNERLESS_IMAGE_POLICY", "fail"),
        ("RUNNERLESS_INSTANCE_ROLE", "arn:aws:iam::123456789012:role/r"),
        ("AWS_REGION", "eu-west-1"),
        ("AWS_ACCESS_KEY_ID", "key"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
    ];

    #[test]
    fn a_missing_variable_is_named_and_only_the_role_may_be_absent() {
        assert!(Config::read(&Env::of(WHOLE)).unwrap().settings.role.is_some());
        for (missing, _) in WHOLE {
            let without = WHOLE.map(|(name, value)| (name, if name == missing { "" } else { value }));
            match Config::read(&Env::of(without)) {
                Ok(config) => assert!(missing == "RUNNERLESS_INSTANCE_ROLE" && config.settings.role.is_none()),
                Err(error) => assert_eq!(error, EnvError::Missing(missing)),
            }
        }
        let wrong = WHOLE.map(|(name, value)| (name, if name == "RUNNERLESS_INSTANCE_ROLE" { "r" } else { value }));
        let error = Config::read(&Env::of(wrong)).unwrap_err().to_string();
        assert!(error.contains("RUNNERLESS_INSTANCE_ROLE") && error.contains("ARN"), "{error}");
    }
}
