//! Invoking a function and waiting for its answer.

use std::time::Duration;

use aws_sdk_lambda::Client;
use aws_sdk_lambda::config::Config;
use aws_sdk_lambda::operation::invoke::InvokeError;
use aws_smithy_types::Blob;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use runnerless_aws::{Credentials, Place};
use serde_json::Value;

use super::failure::Operation;
use crate::ports::{Answered, FunctionCalls, RemoteError};

const INVOKE: Operation = Operation::new("Invoke", "lambda:InvokeFunction");

/// The longest that is waited for an answer: the reconciler's timeout (55 s), a cold start, and room.
const LIMIT: Duration = Duration::from_secs(90);

/// Lambda.
#[derive(Clone, Debug)]
pub struct FunctionInvoker {
    client: Client,
}

impl FunctionInvoker {
    /// The account's.
    #[must_use]
    pub fn new(place: &Place, credentials: &Credentials) -> Self {
        Self { client: runnerless_aws::client!(aws_sdk_lambda, place, credentials) }
    }
}

impl FunctionCalls for FunctionInvoker {
    async fn call(&self, function: &str, event: &str) -> Result<Answered, RemoteError> {
        let limits = TimeoutConfig::builder().operation_attempt_timeout(LIMIT).operation_timeout(LIMIT).build();
        // A function that was called once has been called: who wants it twice says so.
        let once = Config::builder().timeout_config(limits).retry_config(RetryConfig::disabled());
        let call = self.client.invoke().function_name(function).payload(Blob::new(event));
        let answer =
            call.customize().config_override(once).send().await.map_err(|error| match error.as_service_error() {
                Some(InvokeError::ResourceNotFoundException(_)) => INVOKE.missing(format!("function {function}")),
                _ => INVOKE.failure(error),
            })?;
        let text = String::from_utf8(answer.payload.unwrap_or_else(|| Blob::new("")).into_inner());
        let text = text.map_err(|error| INVOKE.unusable(error))?;
        Ok(match answer.function_error {
            None => Answered::Value(text),
            Some(kind) => failed(&kind, &text),
        })
    }
}

/// What Lambda says of a function that failed: `{"errorType", "errorMessage"}`.
fn failed(kind: &str, text: &str) -> Answered {
    let error: Value = serde_json::from_str(text).unwrap_or_default();
    let word = |name: &str| error[name].as_str().map(str::to_owned);
    Answered::Failed {
        name: word("errorType").unwrap_or_else(|| kind.to_owned()),
        message: word("errorMessage").unwrap_or_else(|| text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_has_its_name_and_its_words_whatever_shape_it_comes_in() {
        let named = |name: &str, message: &str| Answered::Failed { name: name.into(), message: message.into() };
        let text = r#"{"errorType":"Ledger.Throttled","errorMessage":"slow down","trace":[]}"#;
        assert_eq!(failed("Unhandled", text), named("Ledger.Throttled", "slow down"));
        assert_eq!(failed("Unhandled", "out of memory"), named("Unhandled", "out of memory"));
    }
}
