//! The ingest function, see the library.

use std::process::ExitCode;

use runnerless_ingest::{Config, Ports, Response, handle, report};
use runnerless_lambda_kit::{SystemClock, now, start};

fn main() -> ExitCode {
    start("ingest", Config::read, |config, call| async move {
        let ports = Ports {
            ledger: &config.ledger,
            bus: &config.bus,
            store: &config.store,
            secrets: &config.secrets,
            noted: &config.noted,
            clock: &SystemClock,
        };
        let outcome = handle(&call.event, &ports, &config.rules, now()).await?;
        report(&outcome, &call.event);
        Ok::<_, runnerless_aws::AwsError>(Response::to(&outcome))
    })
}
