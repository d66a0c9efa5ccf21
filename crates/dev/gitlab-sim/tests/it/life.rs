//! A job from the 201 to its end, with and without two-phase commit, and the death of its token.

use reqwest::Method;
use serde_json::{Value, json};

use crate::bench::{Bench, git};

const ONE: &str = "job:\n  script: [echo hi]\n";

#[tokio::test]
async fn without_two_phase_a_job_runs_from_the_201_on() {
    let bench = Bench::start().await;
    let project = bench.project("acme/widget", ONE).await;
    let pipeline = bench.pipeline(project).await;
    let runner = bench.any_runner().await;
    let job = runner.take().await;
    assert_eq!(job.see().await["status"], "running");
    let accepted = job.put(json!({"state": "running"})).await;
    assert_eq!((accepted.status, accepted.header("job-status")), (200, Some("running")));
    assert_eq!(accepted.header("x-gitlab-trace-update-interval"), Some("3"));
    let log = "section_start:1:step_script\r\u{1b}[0KExecuting\nhi\n";
    let patched = job.patch(0, log).await;
    assert_eq!((patched.status, patched.header("range")), (202, Some(format!("0-{}", log.len()).as_str())));
    let checksum = format!("crc32:{:08x}", crc32fast::hash(log.as_bytes()));
    let ended = job.put(json!({"state": "success", "output": {"checksum": checksum, "bytesize": log.len()}})).await;
    assert_eq!((ended.status, ended.header("job-status"), ended.text.as_str()), (200, Some("success"), "200"));

    let seen = bench.sim(Method::GET, &format!("pipelines/{pipeline}?wait_s=10"), None).await;
    assert_eq!((&seen["status"], &seen["ended"]), (&json!("success"), &json!(true)));
    let seen = &seen["jobs"][0];
    assert_eq!((&seen["exit_code"], &seen["system_id"]), (&json!(0), &json!("r_abcdefghijkl")));
    let stamp = |name: &str| seen["t"][name].as_u64().unwrap_or_else(|| panic!("{name} is not stamped"));
    assert!(stamp("picked_up") <= stamp("first_output") && stamp("first_output") <= stamp("finished"));
    assert_eq!(std::fs::read_to_string(seen["log"].as_str().unwrap()).unwrap(), log);
    assert_eq!(bench.violations().await, [""; 0]);
}

#[tokio::test]
async fn an_offer_is_pending_until_it_is_accepted() {
    let bench = Bench::start().await;
    bench.settings(json!({"two_phase": true})).await;
    let project = bench.project("acme/widget", ONE).await;
    bench.pipeline(project).await;
    let runner = bench.any_runner().await;
    let job = runner.take().await;
    assert_eq!(job.see().await["status"], "pending");
    assert_eq!(runner.ask().await.status, 204, "an offered job is not offered to another");
    assert_eq!(job.patch(0, "x").await.status, 403);
    assert_eq!(job.end("success").await.status, 400);
    let kept = job.put(json!({"state": "pending"})).await;
    assert_eq!((kept.status, kept.header("job-status")), (200, Some("pending")));
    let accepted = job.put(json!({"state": "running"})).await;
    assert_eq!((accepted.status, accepted.header("job-status")), (200, Some("running")));
    assert_eq!(job.put(json!({"state": "pending"})).await.status, 409);
    assert_eq!(job.end("success").await.status, 200);
    assert_eq!(bench.violations().await, ["trace_before_accept", "end_before_accept", "pending_after_accept"]);
}

#[tokio::test]
async fn an_expired_offer_goes_to_another_and_cannot_be_accepted() {
    let bench = Bench::start().await;
    bench.settings(json!({"two_phase": true, "two_phase_s": 0.05})).await;
    let project = bench.project("acme/widget", ONE).await;
    bench.pipeline(project).await;
    let runner = bench.any_runner().await;
    let late = runner.take().await;
    wait_for_event(&bench, "withdrawn").await;
    assert_eq!(late.put(json!({"state": "running"})).await.status, 400);
    bench.settings(json!({"two_phase_s": 120.0})).await;
    let again = runner.take().await;
    assert_eq!(again.id, late.id);
    assert_ne!(again.token, late.token);
    assert_eq!(late.patch(0, "x").await.status, 403);
    assert_eq!(again.put(json!({"state": "running"})).await.status, 200);
    assert_eq!(bench.violations().await, ["accept_after_expiry", "expired_offer"]);
}

/// Reads the stream of events until one of that name comes.
async fn wait_for_event(bench: &Bench, name: &str) {
    let mut answer = bench.request(Method::GET, "/_sim/v1/events?since=0").send().await.unwrap();
    let mut text = String::new();
    while !text.contains(&format!("\"event\":\"{name}\"")) {
        let piece = answer.chunk().await.unwrap().unwrap();
        text.push_str(std::str::from_utf8(&piece).unwrap());
    }
}

#[tokio::test]
async fn a_runner_without_the_feature_gets_no_offer_but_the_job() {
    let bench = Bench::start().await;
    bench.settings(json!({"two_phase": true})).await;
    let project = bench.project("acme/widget", ONE).await;
    bench.pipeline(project).await;
    let mut runner = bench.any_runner().await;
    runner.features = json!({});
    assert_eq!(runner.take().await.see().await["status"], "running");
}

#[tokio::test]
async fn a_job_token_dies_with_its_job() {
    let bench = Bench::start().await;
    let project = bench.project("acme/widget", ONE).await;
    bench.pipeline(project).await;
    let runner = bench.any_runner().await;
    let job = runner.take().await;
    let url = job.body["git_info"]["repo_url"].as_str().unwrap().to_owned();
    let specs: Vec<String> = job.body["git_info"]["refspecs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|spec| spec.as_str().unwrap().to_owned())
        .collect();
    let dir = bench.dir.path().to_owned();
    let (clone_url, sha) = (url.clone(), job.body["git_info"]["sha"].as_str().unwrap().to_owned());
    tokio::task::spawn_blocking(move || {
        let work = dir.join("work");
        std::fs::create_dir(&work).unwrap();
        git(&work, &["init", "-q"]);
        let mut fetch = vec!["fetch", "-q", "--depth", "20", clone_url.as_str()];
        fetch.extend(specs.iter().map(String::as_str));
        git(&work, &fetch);
        git(&work, &["checkout", "-q", &sha]);
        assert!(work.join(".gitlab-ci.yml").exists());
    })
    .await
    .unwrap();
    assert_eq!(job.end("success").await.status, 200);

    let again = job.end("success").await;
    assert_eq!((again.status, again.header("job-status")), (403, Some("success")));
    assert_eq!(bench.violations().await, [""; 0], "the same report again is a resend after a lost answer");
    assert_eq!(job.end("failed").await.status, 403);
    assert_eq!(job.patch(0, "x").await.header("job-status"), Some("success"));
    let refs = format!("{url}/info/refs?service=git-upload-pack");
    assert_eq!(bench.send(bench.http.get(refs)).await.status, 401);
    assert_eq!(bench.violations().await, ["second_final", "dead_token", "dead_token"]);
}

#[tokio::test]
async fn a_wrong_token_says_nothing_about_the_job() {
    let bench = Bench::start().await;
    let project = bench.project("acme/widget", ONE).await;
    bench.pipeline(project).await;
    let runner = bench.any_runner().await;
    let mut job = runner.take().await;
    job.token = "glcbt-66_wrong".to_owned();
    let refused = job.end("success").await;
    assert_eq!((refused.status, refused.header("job-status")), (403, None));
    assert_eq!(bench.violations().await, ["wrong_token"]);
}

#[tokio::test]
async fn the_body_is_complete() {
    let bench = Bench::start().await;
    let file = "variables:\n  GREETING: hi $CI_PROJECT_PATH in $CI_PROJECT_DIR\njob:\n  script: [echo hi]\n  \
                after_script: [echo bye]\n  timeout: 20 minutes\n  parallel: 2\n  image: rust:1.90\n";
    let project = bench.project("acme/back-end/widget", file).await;
    bench.pipeline(project).await;
    let runner = bench.runner(json!({"runner_type": "instance_type", "maximum_timeout": 900})).await;
    let body = runner.take().await.body;
    let mut keys: Vec<&String> = body.as_object().unwrap().keys().collect();
    keys.sort();
    assert_eq!(
        keys,
        [
            "allow_git_fetch",
            "artifacts",
            "cache",
            "credentials",
            "dependencies",
            "features",
            "git_info",
            "hooks",
            "id",
            "image",
            "inputs",
            "job_info",
            "runner_info",
            "services",
            "steps",
            "token",
            "variables"
        ]
    );
    assert_eq!(body["runner_info"]["timeout"], 900);
    assert_eq!(body["job_info"]["project_full_path"], "acme/back-end/widget");
    assert_eq!(body["image"]["name"], "rust:1.90");
    assert_eq!(body["steps"][1]["name"], "after_script");
    let value = |key: &str| {
        let list = body["variables"].as_array().unwrap();
        list.iter().rfind(|variable| variable["key"] == key).map(|variable| variable["value"].clone())
    };
    assert_eq!(value("GREETING"), Some(json!("hi acme/back-end/widget in $CI_PROJECT_DIR")));
    assert_eq!(value("CI_NODE_TOTAL"), Some(json!("2")));
    assert_eq!(value("CI_JOB_NAME"), Some(json!("job 1/2")));
    assert_eq!(value("CI_PIPELINE_ID"), Some(Value::from(body["job_info"]["pipeline_id"].to_string())));
    let token =
        body["variables"].as_array().unwrap().iter().find(|variable| variable["key"] == "CI_JOB_TOKEN").unwrap();
    assert_eq!((&token["masked"], &token["public"]), (&json!(true), &json!(false)));
    assert!(token.get("file").is_none() && token.get("raw").is_none(), "left out when false");
}
