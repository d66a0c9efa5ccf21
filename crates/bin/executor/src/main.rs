//! The executor function: runs one GitLab job inside Lambda.

use std::process::ExitCode;

use runnerless_executor::Executor;

fn main() -> ExitCode {
    // Before anything is read that the job's processes must not see.
    if let Err(error) = runnerless_engine::protect_process() {
        eprintln!("executor: {error}");
        return ExitCode::FAILURE;
    }
    runnerless_lambda_kit::start("executor", Executor::new, |executor, call| async move { executor.serve(call).await })
}
