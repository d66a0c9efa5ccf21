//! `runnerless`: the operator's command line.

use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Parser as _;
use runnerless_cli::arguments::Arguments;
use runnerless_cli::{CliError, Environment, Input, Screen, run};
use runnerless_core::time::Timestamp;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let (mut out, mut err, mut stdin) = (std::io::stdout(), std::io::stderr(), std::io::stdin());
    let mut screen = Screen::new(&mut out, &mut err);
    let input = Input { environment: environment(), stdin: &mut stdin, now: now() };
    match on_runtime(arguments, input, &mut screen) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            for line in error.lines() {
                // With standard error gone there is nobody left to tell.
                let _gone = screen.tell(line);
            }
            ExitCode::from(error.exit_code())
        }
    }
}

fn on_runtime(arguments: Arguments, input: Input<'_>, screen: &mut Screen<'_>) -> Result<(), CliError> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(run(arguments, input, screen))
}

/// The environment, read once and only here. What is no text is no setting of ours.
#[expect(clippy::disallowed_methods, reason = "this is the one place of this program that reads the environment")]
fn environment() -> Environment {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
