//! The command around the engine: arguments in, one job, an exit code out.

mod arguments;
mod identity;
mod once;

use std::ffi::OsString;
use std::process::ExitCode;

pub use arguments::{Arguments, UsageError};
pub use once::Exit;

/// What the command takes from its environment.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// `HTTPS_PROXY`; empty for none.
    pub https_proxy: String,
    /// `NO_PROXY`.
    pub no_proxy: String,
}

/// Runs the command.
#[must_use]
pub fn run(args: impl Iterator<Item = OsString>, surroundings: &Surroundings) -> ExitCode {
    let exit = match Arguments::parse(args) {
        Ok(Some(arguments)) => once::once(&arguments, surroundings),
        Ok(None) => {
            println!("{}", arguments::HELP);
            Exit::Fine
        }
        Err(error) => {
            eprintln!("runnerless-runner: {error}\n\n{}", arguments::HELP);
            Exit::Usage
        }
    };
    exit.into()
}
