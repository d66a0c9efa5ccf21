//! Two jobs of one lane whose launches get each other's job: the end of the first one ends the instance that ran it, which is
//! the second one's by its charge, and nothing of the one that runs on.

use hyper::Method;
use serde_json::{Value, json};

use super::ground::{Ground, Rows, now};
use crate::case_lines::Verdict;
use crate::suite::SuiteError;

/// Where the simulator takes faults.
const FAULTS: &str = "/_sim/v1/faults";

/// Plays it.
pub(super) async fn swap(ground: &Ground<'_>) -> Result<Verdict, SuiteError> {
    let mut verdict = Verdict::new(
        "swap: two launches get each other's job",
        json!({"swapped": true, "terminated_by_the_first_end": "the instance that ran it", "the_other": "running, and then success"}),
    );
    let (first, second) = (ground.job("first")?, ground.job("second")?);
    let charged = swapped(ground, first, second).await?;
    let (ran_first, ran_second) = (ground.rows(first).await?, ground.rows(second).await?);
    let own = &charged.launch["launch"];
    let is_swapped = ran_first.job["launch"] != *own && ran_second.job["launch"] == *own;
    verdict.unless(is_swapped, || format!("first ran on {}, second on {}", ran_first.job, ran_second.job));
    for name in ["first", "second"] {
        verdict.unless(ground.gate.is_there(name).await, || format!("the script of {name} does not run"));
    }

    let ended_at = now();
    ground.gate.let_through("first");
    let over = ground.is_over(first).await?;
    let instance = instance(&ran_first);
    ground
        .until("the first job's instance is gone", async || Ok(is_gone(ground, &instance).await?.then_some(())))
        .await?;
    let terminated = ground.terminated_since(ended_at)?;
    let other = self::instance(&ran_second);
    let (shown, state) = (ground.shown(second).await?, ground.state(&other).await?);
    let row = ground.rows(second).await?.launch;
    verdict.unless(over.launch["launch"] == ran_first.launch["launch"], || format!("closed was {}", over.launch));
    verdict.unless(terminated == [instance.as_str()], || {
        format!("terminated were {terminated:?}, and {instance} ran the job that ended")
    });
    verdict.unless(shown["status"] == "running" && row["state"] == "bound", || {
        format!("the second job is {}, its launch {}", shown["status"], row["state"])
    });
    verdict.unless(state == "running", || format!("the instance {other} of the second job is {state}"));

    ground.gate.let_through("second");
    let end = ground.is_over(second).await?;
    ground
        .until("the second job's instance is gone", async || Ok(is_gone(ground, &other).await?.then_some(())))
        .await?;
    let status = |shown: &Value| shown["status"].clone();
    let (first, second) = (ground.shown(first).await?, ground.shown(second).await?);
    verdict.unless(first["status"] == "success" && second["status"] == "success", || {
        format!("the jobs are {} and {}", first["status"], second["status"])
    });
    verdict.got = json!({
        "first": {"charged": own, "ran_on": ran_first.launch["launch"], "instance": instance, "status": status(&first)},
        "second": {"ran_on": end.launch["launch"], "instance": other, "status": status(&second)},
        "terminated_by_the_first_end": terminated, "the_other_meanwhile": state,
    });
    Ok(verdict)
}

/// Has GitLab hand the first job to the second one's launch: the request of the first one's is held until that has happened.
/// Returns the first job as it was charged.
async fn swapped(ground: &Ground<'_>, first: u64, second: u64) -> Result<Rows, SuiteError> {
    let held = json!({"match": {"method": "POST", "path": "jobs/request"}, "do": "hold"});
    ground.simulator.call(Method::POST, FAULTS, &held).await?;
    ground.play(first).await?;
    ground
        .until("the first job's runner asks", async || {
            let faults = ground.simulator.call(Method::GET, FAULTS, &Value::Null).await?;
            Ok((faults["http"][0]["seen"].as_u64() >= Some(1)).then_some(()))
        })
        .await?;
    let charged = ground.rows(first).await?;
    ground.play(second).await?;
    ground.comes_to(first, &["bound"]).await?;
    ground.simulator.call(Method::DELETE, FAULTS, &Value::Null).await?;
    ground.comes_to(second, &["bound"]).await?;
    Ok(charged)
}

fn instance(rows: &Rows) -> String {
    rows.launch["instance_id"].as_str().unwrap_or_default().to_owned()
}

async fn is_gone(ground: &Ground<'_>, instance: &str) -> Result<bool, SuiteError> {
    Ok(ground.state(instance).await? == "terminated")
}
