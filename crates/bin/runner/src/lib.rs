//! The command around the engine: arguments in, one job, an exit code out.

mod arguments;
mod by_hand;
mod identity;
mod instance;
mod once;
mod signals;

use std::ffi::OsString;
use std::io::{Write as _, stderr, stdout};
use std::process::ExitCode;

use arguments::Command;

pub use arguments::{Arguments, UsageError};
pub use once::Exit;

/// What the command takes from its environment.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// `HTTPS_PROXY`; empty for none.
    pub https_proxy: String,
    /// `NO_PROXY`.
    pub no_proxy: String,
    /// `AWS_EC2_METADATA_SERVICE_ENDPOINT`, on an instance; empty for AWS's own.
    pub metadata_endpoint: String,
}

/// Runs the command.
#[must_use]
pub fn run(args: impl Iterator<Item = OsString>, surroundings: &Surroundings) -> ExitCode {
    let exit = match Command::parse(args) {
        Ok(Command::Once(arguments)) => once::once(&arguments, surroundings),
        Ok(Command::Instance(program)) => instance::run(&program, surroundings),
        Ok(Command::Help) => tell(arguments::HELP),
        Ok(Command::Version) => tell(&format!("{} {}", env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))),
        Err(error) => {
            say(&format!("{error}\n\n{}", arguments::HELP));
            Exit::Usage
        }
    };
    exit.into()
}

/// What was asked for. Whoever asked may have read enough.
fn tell(text: &str) -> Exit {
    drop(writeln!(stdout(), "{text}"));
    Exit::Fine
}

/// A line for the person at the terminal, or the instance's console: nothing secret. A job does not end, nor does an instance stay,
/// because nobody reads it any more.
pub(crate) fn say(text: &str) {
    drop(writeln!(stderr(), "runnerless-runner: {text}"));
}
