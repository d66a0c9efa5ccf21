//! Cancelling: gracefully, at once, and before anybody has the job.

use reqwest::Method;
use serde_json::json;

use crate::bench::Bench;

const TWO: &str = "stages: [a, b]\none:\n  stage: a\n  script: [echo]\ntwo:\n  stage: b\n  script: [echo]\n";

#[tokio::test]
async fn a_runner_that_can_is_asked_to_stop_and_its_report_makes_it_canceled() {
    let bench = Bench::start().await;
    let project = bench.project("acme/widget", TWO).await;
    let pipeline = bench.pipeline(project).await;
    let runner = bench.any_runner().await;
    let job = runner.take().await;
    let path = format!("projects/{project}/jobs/{}/cancel", job.id);
    let asked = bench.user(Method::POST, &path, None).await;
    assert_eq!((asked.status, &asked.json()["status"]), (201, &json!("canceling")));
    assert_eq!(job.patch(0, "after_script\n").await.header("job-status"), Some("canceling"));
    assert_eq!(job.put(json!({"state": "running"})).await.header("job-status"), Some("canceling"));
    let ended = job.end("failed").await;
    assert_eq!((ended.status, ended.header("job-status")), (200, Some("canceled")));
    let seen = job.see().await;
    assert_eq!((&seen["status"], &seen["failure_reason"]), (&json!("canceled"), &json!(null)));
    let said = json!({"state": "failed", "failure_reason": "script_failure", "exit_code": null});
    assert_eq!(seen["reported"], said, "the runner's own words");
    assert_eq!(bench.job(pipeline, "two").await["status"], "skipped");
    assert_eq!(bench.see(pipeline).await["status"], "canceled");
    assert_eq!(bench.violations().await, [""; 0]);
}

#[tokio::test]
async fn a_runner_that_cannot_learns_it_from_a_403() {
    let bench = Bench::start().await;
    let project = bench.project("acme/widget", TWO).await;
    bench.pipeline(project).await;
    let mut runner = bench.any_runner().await;
    runner.features = json!({});
    let job = runner.take().await;
    bench.sim(Method::POST, &format!("jobs/{}/cancel", job.id), None).await;
    let refused = job.patch(0, "x").await;
    assert_eq!((refused.status, refused.header("job-status")), (403, Some("canceled")));
    assert_eq!(job.end("failed").await.status, 403);
    assert_eq!(bench.violations().await, [""; 0], "the first word and one report are what the official runner does");
    assert_eq!(job.patch(0, "x").await.status, 403);
    assert_eq!(bench.violations().await, ["dead_token"]);
}

#[tokio::test]
async fn a_pending_job_and_a_forced_one_are_canceled_at_once() {
    let bench = Bench::start().await;
    let project = bench.project("acme/widget", TWO).await;
    let pipeline = bench.pipeline(project).await;
    let id = bench.job(pipeline, "one").await["id"].as_u64().unwrap();
    bench.sim(Method::POST, &format!("jobs/{id}/cancel"), None).await;
    assert_eq!(bench.job(pipeline, "one").await["status"], "canceled");
    let late = bench.user(Method::POST, &format!("projects/{project}/jobs/{id}/cancel"), None).await;
    assert_eq!(late.status, 422);

    bench.pipeline(project).await;
    let runner = bench.any_runner().await;
    let job = runner.take().await;
    bench.sim(Method::POST, &format!("jobs/{}/cancel", job.id), None).await;
    bench.sim(Method::POST, &format!("jobs/{}/cancel?force=true", job.id), None).await;
    assert_eq!(job.patch(0, "x").await.header("job-status"), Some("canceled"));
}
