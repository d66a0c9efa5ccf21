//! The provisioner function, see the library.

use std::process::ExitCode;

use runnerless_lambda_kit::{Call, start};
use runnerless_provisioner::{Config, Request, handle};

fn main() -> ExitCode {
    start("provisioner", Config::read, |config, call: Call<Request>| async move {
        handle(&call.event, &config.provisioner()).await
    })
}
