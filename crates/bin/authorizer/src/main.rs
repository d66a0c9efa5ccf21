//! The authorizer function, see the library.

use std::process::ExitCode;

use runnerless_authorizer::{Config, Ports, handle};
use runnerless_aws::AwsError;
use runnerless_lambda_kit::{SystemClock, now, start};

fn main() -> ExitCode {
    start("authorizer", Config::read, |config, call| async move {
        let ports = Ports { store: &config.store, secrets: &config.secrets, clock: &SystemClock };
        Ok::<_, AwsError>(handle(&call.event, &ports, config.rules, now()).await)
    })
}
