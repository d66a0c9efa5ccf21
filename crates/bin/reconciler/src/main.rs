//! The reconciler function, see the library.

use std::process::ExitCode;

use runnerless_lambda_kit::{Call, start};
use runnerless_reconciler::{Config, Request, Sweep};

fn main() -> ExitCode {
    start("reconciler", Config::read, |config, call: Call<Request>| async move {
        let ports = config.ports().await;
        let (rules, listing, lanes, ec2) = (config.rules(), config.listing(), config.lanes(), config.ec2());
        let sweep =
            Sweep { ports: &ports, lost: config.lost(), lanes, ec2, official: config.official(), rules, listing };
        sweep.run(call.event.dry_run, call.ends_at).await
    })
}
