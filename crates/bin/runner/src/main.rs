//! `runnerless-runner`: runs one GitLab job, by hand or on an instance.

use std::ffi::OsString;
use std::process::ExitCode;

use runnerless_runner::{Surroundings, run};

fn main() -> ExitCode {
    run(std::env::args_os().skip(1), &surroundings())
}

/// The variables that this command honours, read once.
#[expect(clippy::disallowed_methods, reason = "this command runs outside Lambda and reads its environment only here")]
fn surroundings() -> Surroundings {
    let read = |name: &str| std::env::var_os(name).map(OsString::into_string).and_then(Result::ok).unwrap_or_default();
    Surroundings {
        https_proxy: read("HTTPS_PROXY"),
        no_proxy: read("NO_PROXY"),
        metadata_endpoint: read("AWS_EC2_METADATA_SERVICE_ENDPOINT"),
    }
}
