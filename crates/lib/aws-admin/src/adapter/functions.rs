//! The settings of functions.

use std::collections::BTreeMap;

use aws_sdk_lambda::Client;
use aws_sdk_lambda::operation::get_function_configuration::GetFunctionConfigurationError;
use aws_sdk_lambda::operation::get_function_event_invoke_config::GetFunctionEventInvokeConfigError;
use aws_sdk_lambda::types::TenantIsolationMode;
use runnerless_aws::{Credentials, Place};

use super::failure::Operation;
use crate::ports::{FunctionFacts, Functions, RemoteError};

const SETTINGS: Operation = Operation::new("GetFunctionConfiguration", "lambda:GetFunctionConfiguration");
const INVOKES: Operation = Operation::new("GetFunctionEventInvokeConfig", "lambda:GetFunctionEventInvokeConfig");

/// What AWS does when nobody configured asynchronous invocations.
const RETRIES_UNLESS_CONFIGURED: u64 = 2;

/// The version that runs when none is said.
const LATEST: &str = "$LATEST";

/// Lambda.
#[derive(Clone, Debug)]
pub struct FunctionSettings {
    client: Client,
}

impl FunctionSettings {
    /// The account's.
    #[must_use]
    pub fn new(place: &Place, credentials: &Credentials) -> Self {
        Self { client: runnerless_aws::client!(aws_sdk_lambda, place, credentials) }
    }

    async fn retries(&self, function: &str, qualifier: Option<&str>) -> Result<u64, RemoteError> {
        // To AWS, no qualifier and $LATEST are one; the emulator of the local stack keeps them apart.
        let qualifiers = qualifier.map_or_else(|| vec![Some(LATEST), None], |qualifier| vec![Some(qualifier)]);
        for qualifier in qualifiers {
            let call = self.client.get_function_event_invoke_config().function_name(function);
            match call.set_qualifier(qualifier.map(str::to_owned)).send().await {
                Ok(answer) => return Ok(answer.maximum_retry_attempts().map_or(RETRIES_UNLESS_CONFIGURED, positive)),
                Err(error) => match error.as_service_error() {
                    Some(GetFunctionEventInvokeConfigError::ResourceNotFoundException(_)) => {}
                    _ => return Err(INVOKES.failure(error)),
                },
            }
        }
        Ok(RETRIES_UNLESS_CONFIGURED)
    }
}

impl Functions for FunctionSettings {
    async fn facts(&self, function: &str) -> Result<Option<FunctionFacts>, RemoteError> {
        let (name, qualifier) = split(function);
        let call =
            self.client.get_function_configuration().function_name(name).set_qualifier(qualifier.map(str::to_owned));
        let answer = match call.send().await {
            Ok(answer) => answer,
            Err(error) => match error.as_service_error() {
                Some(GetFunctionConfigurationError::ResourceNotFoundException(_)) => return Ok(None),
                _ => return Err(SETTINGS.failure(error)),
            },
        };
        let tenancy = answer.tenancy_config().map(|config| config.tenant_isolation_mode());
        let variables = answer.environment().and_then(|environment| environment.variables().cloned());
        Ok(Some(FunctionFacts {
            arn: answer.function_arn().unwrap_or(function).to_owned(),
            timeout_s: answer.timeout().map_or(0, positive),
            tenancy: tenancy == Some(&TenantIsolationMode::PerTenant),
            retries: self.retries(name, qualifier).await?,
            environment: variables.map(BTreeMap::from_iter).unwrap_or_default(),
        }))
    }
}

/// A function, and its version or alias if one is said.
fn split(function: &str) -> (&str, Option<&str>) {
    // arn:aws:lambda:<region>:<account>:function:<name>[:<qualifier>]
    match function.match_indices(':').nth(6) {
        Some((at, _)) => (&function[..at], Some(&function[at + 1..])),
        None => (function, None),
    }
}

fn positive(number: i32) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_qualifier_is_said_on_its_own() {
        let arn = "arn:aws:lambda:eu-west-1:123456789012:function:executor";
        assert_eq!(split(arn), (arn, None));
        assert_eq!(split(&format!("{arn}:live")), (arn, Some("live")));
        assert_eq!(split("executor"), ("executor", None));
    }
}
