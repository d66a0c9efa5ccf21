//! A runner manager as the official one looks from outside: it takes the command line and the configuration file of that one
//! (`gitlab-runner run --config FILE --working-directory DIR`), asks GitLab for jobs while it has free slots, tells metrics,
//! and knows the same signals. Its jobs are run by our engine, in shells, each by a process of its own.

mod arguments;
mod config;
mod exposition;
mod manager;
mod server;
mod slot;

use std::ffi::OsString;
use std::process::ExitCode;

use arguments::Command;

pub use config::{BadConfig, Config, RunnerConfig};
pub use exposition::{Exposition, Phase, Shown};

/// Runs the command.
#[must_use]
pub fn run(args: impl Iterator<Item = OsString>) -> ExitCode {
    let ended = match arguments::parse(args) {
        Ok(Command::Run { config, work }) => {
            manager::run(&config, &work).map_err(|error| runnerless_core::chain::chain(&error))
        }
        Ok(Command::Slot(slot)) => slot::run(&slot).map_err(|error| runnerless_core::chain::chain(&error)),
        Err(error) => Err(error.to_string()),
    };
    ended.unwrap_or_else(|words| {
        say(&words);
        ExitCode::FAILURE
    })
}

/// A line for whoever looks at the log: nothing secret.
pub(crate) fn say(text: &str) {
    eprintln!("manager-sim: {text}");
}
