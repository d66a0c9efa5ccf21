//! The router function, see the library.

use std::process::ExitCode;

use runnerless_lambda_kit::{Call, now, start};
use runnerless_router::{Answer, Config, Error, Request, handle};

fn main() -> ExitCode {
    start("router", Config::read, |config, call: Call<Request>| async move {
        let ports = config.ports().await;
        handle(&call.event, &ports, &config.rules, now()).await.map(|routed| Answer::from(&routed)).map_err(Error::from)
    })
}
