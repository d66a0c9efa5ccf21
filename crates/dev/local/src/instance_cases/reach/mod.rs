//! What a job finds on its instance that may do everything there: who may use Docker is root. One line an attempt; the same
//! attempt must find what was planted for it, or it proves nothing.

mod table;

use serde_json::{Value, json};

use super::ground::Ground;
use crate::aws::SSM;
use crate::case_lines::Verdict;
use crate::conformance::log::plain;
use crate::seed::{SeedError, output};
use crate::suite::SuiteError;
use table::{ATTEMPTS, Expectation};

/// The probe and what it plants, as files of the jobs' repository.
pub(super) const FILES: [(&str, &str); 2] =
    [("probe.py", include_str!("probe.py")), ("victim.py", include_str!("victim.py"))];
/// What the probe's job runs.
pub(super) const SCRIPT: &str = "python3 probe.py";
/// The cache that its job names.
pub(super) const CACHE: &str = "probe";
/// How a row of the probe begins in a log.
const ROW: &str = "@@row ";

/// Runs the probe on an instance, beside another launch that runs a job.
pub(super) async fn reach(ground: &Ground<'_>) -> Result<Vec<Verdict>, SuiteError> {
    let neighbour = ground.job("neighbour")?;
    ground.play(neighbour).await?;
    let other = ground.comes_to(neighbour, &["bound"]).await?;
    let backwards = |text: &str| text.chars().rev().collect::<String>();
    let variables = json!([
        {"key": "LANE_TOKEN_BACKWARDS", "value": backwards(&lane_token(ground).await?)},
        {"key": "OTHER_LAUNCH_BACKWARDS", "value": backwards(other.launch["launch"].as_str().unwrap_or_default())},
    ]);
    let job = ground.job_of_pipeline("reach", &variables).await?;
    ground.play(job).await?;
    ground.is_over(job).await?;
    ground.gate.let_through("neighbour");
    ground.is_over(neighbour).await?;
    let log = plain(&String::from_utf8_lossy(&ground.simulator.job_log(job).await?));
    let status = ground.shown(job).await?["status"].clone();
    let mut whole = Verdict::new("reach: the probe's job", json!({"status": "success"}));
    whole.unless(status == "success", || format!("it is {status}; its log:\n{log}"));
    whole.got = json!({"status": status});
    let rows: Vec<Value> =
        log.lines().filter_map(|line| serde_json::from_str(line.trim_end().strip_prefix(ROW)?).ok()).collect();
    let of = |name: &str| rows.iter().find(|row| row["attempt"] == name).cloned().unwrap_or_else(|| json!({}));
    let verdicts = ATTEMPTS.iter().map(|(name, expectation)| judge(name, *expectation, &of(name)));
    Ok(std::iter::once(whole).chain(verdicts).collect())
}

fn judge(name: &str, expectation: Expectation, row: &Value) -> Verdict {
    let expected = json!({"job": expectation.words(), "control": "found"});
    let mut verdict = Verdict::new(format!("reach: {name}"), expected);
    verdict.unless(expectation.holds(row), || format!("the job got {row}"));
    verdict.unless(table::proves(row), || format!("the control found nothing: {row}"));
    verdict.got = row.clone();
    verdict
}

/// The token of the only lane of instances.
async fn lane_token(ground: &Ground<'_>) -> Result<String, SuiteError> {
    let path = format!("{}/runner/EC2", output(&ground.deployment, "ParameterPath")?);
    let input = json!({"Path": path, "Recursive": true, "WithDecryption": true});
    let answer = ground.stack.aws().call(SSM, "GetParametersByPath", &input).await?;
    let token = answer["Parameters"][0]["Value"].as_str().map(str::to_owned);
    token.ok_or(SuiteError::Seed(SeedError::NoOutput("token of its lane of instances")))
}
