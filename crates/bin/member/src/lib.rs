//! The program beside the runner manager of a pool's member. When the group is to terminate the instance, it has the runner
//! manager finish its builds, holds the group's lifecycle hook open meanwhile, and answers it then.
//!
//! The watch looks every few seconds: at what the metadata service says of the instance's target, and at the runner manager's
//! process. [`runnerless_core::pool::leaving`] decides what follows.

mod arguments;
mod cloud;
mod manager;
mod notes;
mod process;
mod token;
mod watch;

use std::ffi::OsString;
use std::io::{Write as _, stderr, stdout};
use std::process::ExitCode;

use arguments::{Command, HELP};

pub use arguments::{Arguments, UsageError};

/// What the command takes from its environment.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// `HTTPS_PROXY`; empty for none. The metadata service is never asked through it.
    pub https_proxy: String,
    /// `NO_PROXY`.
    pub no_proxy: String,
    /// `AWS_EC2_METADATA_SERVICE_ENDPOINT`; empty for AWS's own.
    pub metadata_endpoint: String,
    /// `AWS_ENDPOINT_URL`; empty for AWS's own.
    pub aws_endpoint: String,
}

/// Wrong arguments, as shells and the other commands of this project have it.
const USAGE: u8 = 2;

/// Runs the command. A watch ends with 0 when the group's hook is answered, and not before.
#[must_use]
pub fn run(args: impl Iterator<Item = OsString>, surroundings: &Surroundings) -> ExitCode {
    match Command::parse(args) {
        Ok(Command::Watch(arguments)) => match watch::watch(&arguments, surroundings) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                say(&runnerless_core::chain::chain(&error));
                ExitCode::from(USAGE)
            }
        },
        Ok(Command::Token(parameter)) => match token::token(&parameter, surroundings) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                say(&runnerless_core::chain::chain(&error));
                ExitCode::FAILURE
            }
        },
        Ok(Command::Help) => tell(HELP),
        Ok(Command::Version) => tell(&format!("{} {}", env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))),
        Err(error) => {
            say(&format!("{error}\n\n{HELP}"));
            ExitCode::from(USAGE)
        }
    }
}

/// What was asked for. Whoever asked may have read enough.
fn tell(text: &str) -> ExitCode {
    drop(writeln!(stdout(), "{text}"));
    ExitCode::SUCCESS
}

/// A line for the instance's journal: nothing secret. A member is told to leave also where the journal takes nothing any more.
pub(crate) fn say(text: &str) {
    drop(writeln!(stderr(), "runnerless-member: {text}"));
}
