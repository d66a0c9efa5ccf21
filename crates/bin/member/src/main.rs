//! `runnerless-member`: has a pool's member finish its builds before its instance ends.

use std::ffi::OsString;
use std::process::ExitCode;

use runnerless_member::{Surroundings, run};

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
        aws_endpoint: read("AWS_ENDPOINT_URL"),
    }
}
