//! The claim function: speaks to the ledger for runners that are not ours.

use std::process::ExitCode;

use runnerless_claim::Claim;

fn main() -> ExitCode {
    runnerless_lambda_kit::start("claim", Claim::new, |claim, call| async move { claim.serve(call).await })
}
