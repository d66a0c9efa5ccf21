//! The scaler function, see the library.

use std::process::ExitCode;

use runnerless_lambda_kit::{Call, start};
use runnerless_scaler::{Config, Request};

fn main() -> ExitCode {
    start("scaler", Config::read, |config, call: Call<Request>| async move {
        let jobs = config.jobs().await;
        let scaler = config.scaler(jobs.as_ref().map_err(String::as_str));
        scaler.run(&call.request_id, call.event.dry_run, call.ends_at).await
    })
}
