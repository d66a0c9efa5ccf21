//! The checkin function: speaks to the ledger for instances.

use std::process::ExitCode;

use runnerless_checkin::Checkin;

fn main() -> ExitCode {
    runnerless_lambda_kit::start("checkin", Checkin::new, |checkin, call| async move { checkin.serve(call).await })
}
