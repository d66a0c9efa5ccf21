//! Which runner gets which job.

use reqwest::Method;
use serde_json::json;

use crate::bench::Bench;

const TAGGED: &str = "linux:\n  script: [echo]\n  tags: [linux, arm]\nplain:\n  script: [echo]\n";

#[tokio::test]
async fn tags_and_untagged_jobs() {
    let bench = Bench::start().await;
    let project = bench.project("acme/widget", TAGGED).await;
    bench.pipeline(project).await;
    let runner =
        |tags, run_untagged| json!({"runner_type": "instance_type", "tag_list": tags, "run_untagged": run_untagged});
    let wrong = bench.runner(runner(json!(["linux"]), false)).await;
    assert_eq!(wrong.ask().await.status, 204);
    let right = bench.runner(runner(json!("arm,linux,other"), false)).await;
    assert_eq!(right.run("success").await, "linux");
    let nothing = right.ask().await;
    assert_eq!(nothing.status, 204, "it takes no untagged job");
    assert!(nothing.header("x-gitlab-last-update").is_some());
    let untagged = bench.runner(runner(json!([]), true)).await;
    assert_eq!(untagged.run("success").await, "plain");
}

#[tokio::test]
async fn protected_runners_and_refs() {
    let bench = Bench::start().await;
    let project = bench.project("acme/widget", "job:\n  script: [echo]\n").await;
    let body = json!({"project": project, "ref": "feature"});
    bench.sim(Method::POST, "pipelines", Some(body)).await;
    let runner = bench.runner(json!({"runner_type": "instance_type", "access_level": "ref_protected"})).await;
    assert_eq!(runner.ask().await.status, 204);
    bench.pipeline(project).await;
    let job = runner.take().await;
    assert_eq!((&job.body["git_info"]["ref"], &job.body["git_info"]["protected"]), (&json!("main"), &json!(true)));
}

#[tokio::test]
async fn scope_and_pause() {
    let bench = Bench::start().await;
    let one = bench.project("acme/one", "job:\n  script: [echo]\n").await;
    let two = bench.project("other/two", "job:\n  script: [echo]\n").await;
    bench.pipeline(one).await;
    let stranger = bench.runner(json!({"runner_type": "project_type", "project_id": two})).await;
    assert_eq!(stranger.ask().await.status, 204);
    let projects = bench.sim(Method::GET, "projects", None).await;
    let group = |at: usize| projects[at]["namespace_id"].clone();
    let stranger = bench.runner(json!({"runner_type": "group_type", "group_id": group(1)})).await;
    assert_eq!(stranger.ask().await.status, 204);
    let own = bench.runner(json!({"runner_type": "group_type", "group_id": group(0)})).await;
    let path = format!("runners/{}", own.id);
    assert_eq!(bench.user(Method::PUT, &path, Some(json!({"paused": true}))).await.status, 200);
    assert_eq!(own.ask().await.status, 204);
    assert_eq!(bench.user(Method::PUT, &path, Some(json!({"paused": false}))).await.status, 200);
    assert_eq!(own.run("success").await, "job");
}

#[tokio::test]
async fn a_runner_that_lacks_a_feature_costs_the_job_its_life() {
    let bench = Bench::start().await;
    let file = "job:\n  script: [echo]\n  allow_failure:\n    exit_codes: [42]\n";
    let project = bench.project("acme/widget", file).await;
    let pipeline = bench.pipeline(project).await;
    let mut runner = bench.any_runner().await;
    runner.features = json!({});
    assert_eq!(runner.ask().await.status, 204);
    let job = bench.job(pipeline, "job").await;
    assert_eq!((&job["status"], &job["failure_reason"]), (&json!("failed"), &json!("runner_unsupported")));
}

#[tokio::test]
async fn what_a_body_asks_for_must_be_advertised() {
    let bench = Bench::start().await;
    for (feature, body) in [
        ("native_steps_integration", json!({"steps": null, "run": "[{\"name\": \"s\", \"script\": \"echo\"}]"})),
        ("vault_secrets", json!({"secrets": {"TOKEN": {"vault": {"path": "x"}}}})),
        ("refspecs", json!({"git_info": {"ref": "refs/merge-requests/7/head"}})),
        ("fallback_cache_keys", json!({"cache": [{"key": "a", "fallback_keys": ["b"]}]})),
        ("multi_build_steps", json!({"steps": [{"name": "release", "script": ["x"]}]})),
        ("artifacts_exclude", json!({"artifacts": [{"artifact_type": "archive", "exclude": ["x"]}]})),
        ("upload_multiple_artifacts", json!({"artifacts": [{"artifact_type": "junit"}]})),
    ] {
        let case = json!({"script": ["echo"], "job": body});
        let mut runner = bench.any_runner().await;
        for (advertised, status) in [(false, 204), (true, 201)] {
            let id = bench.sim(Method::POST, "jobs", Some(case.clone())).await["job"].as_u64().unwrap();
            runner.features = json!({feature: advertised});
            assert_eq!(runner.ask().await.status, status, "{feature}");
            let job = bench.sim(Method::GET, &format!("jobs/{id}"), None).await;
            let reason = if advertised { json!(null) } else { json!("runner_unsupported") };
            assert_eq!((&job["failure_reason"], &job["reported"]), (&reason, &json!(null)), "{feature}");
        }
    }
}

#[tokio::test]
async fn tokens_and_bodies_that_are_refused() {
    let bench = Bench::start().await;
    let ask = |body| bench.request(Method::POST, "/api/v4/jobs/request").json(&body);
    assert_eq!(bench.send(ask(json!({}))).await.status, 400);
    assert_eq!(bench.send(ask(json!({"token": "glrt-t1_nobody"}))).await.status, 403);
    let large = json!({"token": "x".repeat(40_000)});
    assert_eq!(bench.send(ask(large)).await.status, 413);
    let runner = bench.any_runner().await;
    let odd = json!({"token": runner.token, "system_id": "x".repeat(65)});
    assert_eq!(bench.send(ask(odd)).await.status, 400);
    bench.settings(json!({"request_per_min": 1})).await;
    let limited = bench.any_runner().await;
    assert_eq!(limited.ask().await.status, 204);
    let refused = limited.ask().await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("60")));
}

#[tokio::test]
async fn a_parked_request_that_nothing_wakes_is_204_and_one_without_the_state_is_not_parked() {
    let bench = Bench::start().await;
    let runner = bench.any_runner().await;
    bench.settings(json!({"long_poll_s": 600.0})).await;
    let asked = runner.ask().await;
    assert_eq!(asked.status, 204, "no last_update, no parking");
    bench.settings(json!({"long_poll_s": 0.05})).await;
    let last = asked.header("x-gitlab-last-update").unwrap();
    let body = json!({"token": runner.token, "last_update": last});
    let parked = bench.send(bench.request(Method::POST, "/api/v4/jobs/request").json(&body)).await;
    assert_eq!((parked.status, parked.header("x-gitlab-last-update")), (204, Some(last)));
}

#[tokio::test]
async fn a_parked_request_is_answered_when_a_job_comes() {
    let bench = Bench::start().await;
    bench.settings(json!({"long_poll_s": 60.0})).await;
    let project = bench.project("acme/widget", "job:\n  script: [echo]\n").await;
    let runner = bench.any_runner().await;
    let last = runner.ask().await.header("x-gitlab-last-update").unwrap().to_owned();
    let body = json!({"token": runner.token, "last_update": last});
    let parked = bench.send(bench.request(Method::POST, "/api/v4/jobs/request").json(&body));
    let (answer, _) = tokio::join!(parked, bench.pipeline(project));
    assert_eq!(answer.status, 201);
}
