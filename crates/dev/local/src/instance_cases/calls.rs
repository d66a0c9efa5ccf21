//! What one job on an instance costs in calls: to AWS, as the witness saw them, and to GitLab, as the simulator did.

use hyper::Method;
use serde_json::{Value, json};

use super::cost::costs;
use super::ground::{Ground, now};
use crate::bill::Bill;
use crate::case_lines::Verdict;
use crate::suite::SuiteError;

/// The most calls to AWS of all functions together, from the job's first hook to the end of its instance. Three of four are to
/// the ledger: each hook, each step and each word of the instance writes a row, on condition of what was read or written of it
/// before. Four of the others are of processes that are new and read their secrets. Three may be of the binding, which meets
/// GitLab's `running` hook, two of the end, which meets who settles it, and one of each word that another process answers.
const AWS: u64 = 38;
/// The most of them that are not to the ledger or the mapping: those that AWS throttles by account.
const AWS_BESIDE_THE_LEDGER: u64 = 10;
/// The most requests to GitLab.
const GITLAB: u64 = 8;

/// Runs one job that nothing disturbs, and counts.
pub(super) async fn calls(ground: &Ground<'_>) -> Result<Vec<Verdict>, SuiteError> {
    let mut verdict = Verdict::new(
        "calls: one job on an instance",
        json!({"aws_at_most": AWS, "beside_the_ledger_at_most": AWS_BESIDE_THE_LEDGER, "gitlab_at_most": GITLAB}),
    );
    let told = "/_sim/v1/deliveries?wait_s=60";
    ground.simulator.call(Method::GET, told, &Value::Null).await?;
    let job = ground.job("counted")?;
    let since = now();
    ground.play(job).await?;
    let rows = ground.is_over(job).await?;
    // What GitLab still has to tell belongs to the job, too.
    ground.simulator.call(Method::GET, told, &Value::Null).await?;
    let requests = ground.simulator.text("/_sim/v1/requests?since=0").await?;
    let bill = Bill::of(&ground.calls()?, &requests, &ground.deployment, since);
    // That a person plays it is no request of ours.
    let played = 1;
    let (aws, gitlab) = (bill.aws(), bill.gitlab() - played);
    let beside = aws - bill.aws_of_service("dynamodb");
    verdict.unless(beside <= AWS_BESIDE_THE_LEDGER, || format!("{beside} calls to other services than the ledger"));
    verdict.unless(aws > 0 && aws <= AWS, || format!("{aws} calls to AWS"));
    verdict.unless(gitlab > 0 && gitlab <= GITLAB, || format!("{gitlab} requests to GitLab"));
    verdict.unless(rows.job["attempt"] == 1, || format!("it took {} launches", rows.job["attempt"]));
    let status = ground.shown(job).await?["status"].clone();
    verdict.unless(status == "success", || format!("the job is {status}"));
    let view = bill.view(1, 1);
    verdict.got = json!({"aws_calls": aws, "beside_the_ledger": beside, "gitlab_requests": gitlab, "aws": view["aws_per_job"], "gitlab": view["gitlab_per_job"], "status": status});
    Ok(std::iter::once(verdict).chain(costs(&bill)).collect())
}
