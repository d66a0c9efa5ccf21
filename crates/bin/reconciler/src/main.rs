//! The reconciler function, see the library.

use std::process::ExitCode;

use runnerless_lambda_kit::{Call, start};
use runnerless_reconciler::{Config, Request, sweep};

fn main() -> ExitCode {
    start("reconciler", Config::read, |config, call: Call<Request>| async move {
        let ports = config.ports().await;
        sweep(&ports, &config.lost(), config.rules(), call.event.dry_run, call.ends_at).await
    })
}
