//! The terminator function: ends the launch of a job that ended, and hears of launches that failed.

use std::process::ExitCode;

use runnerless_terminator::Terminator;

fn main() -> ExitCode {
    runnerless_lambda_kit::start("terminator", Terminator::new, |terminator, call| async move {
        terminator.serve(call).await
    })
}
