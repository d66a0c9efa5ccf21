//! Pipelines: stages, needs, manual jobs, forgiveness, repetition.

use reqwest::Method;
use serde_json::json;

use crate::bench::Bench;

fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(name, state)| ((*name).to_owned(), (*state).to_owned())).collect()
}

#[tokio::test]
async fn stages_follow_each_other_and_failure_skips_what_comes_after() {
    let bench = Bench::start().await;
    let file = "stages: [a, b]\none:\n  stage: a\n  script: [echo]\ntwo:\n  stage: b\n  script: [echo]\n\
                cleanup:\n  stage: b\n  script: [echo]\n  when: on_failure\nalways:\n  stage: b\n  script: [echo]\n  when: always\n";
    let project = bench.project("acme/widget", file).await;
    let runner = bench.any_runner().await;
    let good = bench.pipeline(project).await;
    assert_eq!(bench.states(good).await[..2], pairs(&[("one", "pending"), ("two", "created")]));
    assert_eq!(runner.run("success").await, "one");
    let expected = [("one", "success"), ("two", "pending"), ("cleanup", "skipped"), ("always", "pending")];
    assert_eq!(bench.states(good).await, pairs(&expected));
    runner.run("success").await;
    runner.run("success").await;
    assert_eq!(bench.see(good).await["status"], "success");

    let bad = bench.pipeline(project).await;
    runner.run("failed").await;
    let expected = [("one", "failed"), ("two", "skipped"), ("cleanup", "pending"), ("always", "pending")];
    assert_eq!(bench.states(bad).await, pairs(&expected));
    runner.run("success").await;
    runner.run("success").await;
    assert_eq!(bench.see(bad).await["status"], "failed");
}

#[tokio::test]
async fn needs_do_not_wait_for_the_stage() {
    let bench = Bench::start().await;
    let file = "stages: [a, b]\nfast:\n  stage: a\n  script: [echo]\nslow:\n  stage: a\n  script: [echo]\n\
                after:\n  stage: b\n  script: [echo]\n  needs: [fast]\nfree:\n  stage: b\n  script: [echo]\n  needs: []\n";
    let project = bench.project("acme/widget", file).await;
    let runner = bench.any_runner().await;
    let pipeline = bench.pipeline(project).await;
    let expected = [("fast", "pending"), ("slow", "pending"), ("after", "created"), ("free", "pending")];
    assert_eq!(bench.states(pipeline).await, pairs(&expected));
    assert_eq!(runner.run("success").await, "fast");
    assert_eq!(bench.job(pipeline, "after").await["status"], "pending");
    assert_eq!(bench.job(pipeline, "slow").await["status"], "pending");
}

#[tokio::test]
async fn a_manual_job_waits_for_a_person() {
    let bench = Bench::start().await;
    let file = "stages: [a, b]\nask:\n  stage: a\n  script: [echo]\n  when: manual\n  allow_failure: false\n\
                then:\n  stage: b\n  script: [echo]\n";
    let project = bench.project("acme/widget", file).await;
    let runner = bench.any_runner().await;
    let pipeline = bench.pipeline(project).await;
    let waited = bench.sim(Method::GET, &format!("pipelines/{pipeline}?wait_s=30"), None).await;
    assert_eq!((&waited["status"], &waited["ended"]), (&json!("manual"), &json!(false)));
    assert_eq!(runner.ask().await.status, 204);
    let id = bench.job(pipeline, "ask").await["id"].clone();
    let played = bench.user(Method::POST, &format!("projects/{project}/jobs/{id}/play"), None).await;
    assert_eq!((played.status, &played.json()["status"]), (200, &json!("pending")));
    assert_eq!(runner.run("success").await, "ask");
    assert_eq!(runner.run("success").await, "then");
    assert_eq!(bench.see(pipeline).await["status"], "success");
}

#[tokio::test]
async fn exit_codes_forgive() {
    let bench = Bench::start().await;
    let file = "job:\n  script: [echo]\n  allow_failure:\n    exit_codes: [42]\n";
    let project = bench.project("acme/widget", file).await;
    let runner = bench.any_runner().await;
    for (code, expected) in [(42, "success"), (1, "failed")] {
        let pipeline = bench.pipeline(project).await;
        let job = runner.take().await;
        let report = json!({"state": "failed", "failure_reason": "script_failure", "exit_code": code});
        assert_eq!(job.put(report).await.status, 200);
        assert_eq!(bench.see(pipeline).await["status"], expected, "{code}");
        assert_eq!(job.see().await["exit_code"], code);
    }
}

#[tokio::test]
async fn unknown_reasons_become_unknown_failure() {
    let bench = Bench::start().await;
    let project = bench.project("acme/widget", "job:\n  script: [echo]\n").await;
    bench.pipeline(project).await;
    let job = bench.any_runner().await.take().await;
    assert_eq!(job.put(json!({"state": "failed", "failure_reason": "job_canceled"})).await.status, 200);
    let shown = bench.user(Method::GET, &format!("projects/{project}/jobs/{}", job.id), None).await.json();
    assert_eq!(shown["failure_reason"], "unknown_failure");
}

#[tokio::test]
async fn a_retry_is_a_new_job_and_revives_what_was_skipped() {
    let bench = Bench::start().await;
    let file = "stages: [a, b]\none:\n  stage: a\n  script: [echo]\ntwo:\n  stage: b\n  script: [echo]\n";
    let project = bench.project("acme/widget", file).await;
    let runner = bench.any_runner().await;
    let pipeline = bench.pipeline(project).await;
    let first = runner.take().await;
    first.end("failed").await;
    assert_eq!(bench.job(pipeline, "two").await["status"], "skipped");
    let path = format!("projects/{project}/jobs/{}/retry", first.id);
    let retried = bench.user(Method::POST, &path, None).await;
    assert_eq!(retried.status, 201);
    assert_ne!(retried.json()["id"].as_u64().unwrap(), first.id);
    assert_eq!(bench.user(Method::POST, &path, None).await.status, 403, "only the newest can be repeated");
    assert_eq!(bench.states(pipeline).await, pairs(&[("two", "created"), ("one", "pending")]));
    assert_eq!(runner.run("success").await, "one");
    assert_eq!(runner.run("success").await, "two");
    assert_eq!(bench.see(pipeline).await["status"], "success");
}

#[tokio::test]
async fn gitlab_repeats_by_rule() {
    let bench = Bench::start().await;
    let file = "job:\n  script: [echo]\n  retry:\n    max: 1\n    when: runner_system_failure\n";
    let project = bench.project("acme/widget", file).await;
    let runner = bench.any_runner().await;
    let pipeline = bench.pipeline(project).await;
    let first = runner.take().await;
    first.put(json!({"state": "failed", "failure_reason": "runner_system_failure"})).await;
    assert_eq!(bench.see(pipeline).await["status"], "pending");
    let second = runner.take().await;
    assert_ne!(second.id, first.id);
    second.put(json!({"state": "failed", "failure_reason": "runner_system_failure"})).await;
    let seen = bench.see(pipeline).await;
    assert_eq!((&seen["status"], seen["jobs"].as_array().unwrap().len()), (&json!("failed"), 2));
    assert_eq!((&seen["jobs"][0]["retried"], &seen["jobs"][1]["retry_of"]), (&json!(true), &json!(first.id)));
}

#[tokio::test]
async fn a_job_that_nobody_ends_is_ended_by_gitlab() {
    let bench = Bench::start().await;
    bench.settings(json!({"job_timeout_s": 0, "timeout_grace_s": 0.05})).await;
    let project = bench.project("acme/widget", "job:\n  script: [echo]\n").await;
    let pipeline = bench.pipeline(project).await;
    let job = bench.any_runner().await.take().await;
    let seen = bench.sim(Method::GET, &format!("pipelines/{pipeline}?wait_s=30"), None).await;
    assert_eq!(seen["jobs"][0]["failure_reason"], "server_timeout_running");
    assert_eq!(job.patch(0, "x").await.header("job-status"), Some("failed"));
}

#[tokio::test]
async fn files_that_are_refused() {
    let bench = Bench::start().await;
    let project = bench.project("acme/widget", "job:\n  stage: nowhere\n  script: [echo]\n").await;
    let reply = bench.send(bench.request(Method::POST, "/_sim/v1/pipelines").json(&json!({"project": project}))).await;
    assert_eq!(reply.status, 400);
    assert!(reply.text.contains("job") && reply.text.contains("stage"), "{}", reply.text);
}

#[tokio::test]
async fn later_jobs_get_the_archives_of_earlier_ones() {
    let bench = Bench::start().await;
    let file = "stages: [a, b]\nmake:\n  stage: a\n  script: [echo]\n  artifacts: {paths: [out], expire_in: 1 day}\n\
                other:\n  stage: a\n  script: [echo]\nall:\n  stage: b\n  script: [echo]\n\
                none:\n  stage: b\n  script: [echo]\n  dependencies: []\n";
    let project = bench.project("acme/widget", file).await;
    let runner = bench.any_runner().await;
    bench.pipeline(project).await;
    let maker = runner.take().await;
    let kept = &maker.body["artifacts"][0];
    assert_eq!(
        (&kept["artifact_type"], &kept["paths"], &kept["expire_in"]),
        (&json!("archive"), &json!(["out"]), &json!("1 day"))
    );
    assert!(kept["name"].is_null() && kept.get("exclude").is_none(), "{kept}");
    assert_eq!(maker.body["dependencies"], json!([]));
    let part =
        "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"artifacts.zip\"\r\n\r\nPK it\r\n--b--\r\n";
    let upload = bench.request(Method::POST, &format!("/api/v4/jobs/{}/artifacts", maker.id));
    let upload = upload.header("JOB-TOKEN", &maker.token).header("Content-Type", "multipart/form-data; boundary=b");
    assert_eq!(bench.send(upload.body(part)).await.status, 201);
    maker.end("success").await;
    assert_eq!(runner.run("success").await, "other");
    let all = runner.take().await;
    let inputs = all.body["dependencies"].as_array().unwrap();
    let names: Vec<&str> = inputs.iter().map(|input| input["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["make", "other"]);
    assert_eq!(inputs[0]["artifacts_file"], json!({"filename": "artifacts.zip", "size": 5}));
    assert!(inputs[1].get("artifacts_file").is_none(), "it left nothing");
    assert_eq!(inputs[0]["token"], json!(all.token), "a job reads with its own token");
    let get = bench.request(Method::GET, &format!("/api/v4/jobs/{}/artifacts", maker.id));
    assert_eq!(bench.send(get.header("JOB-TOKEN", &all.token)).await.text, "PK it");
    assert_eq!(runner.take().await.body["dependencies"], json!([]));
}

#[tokio::test]
async fn caches_of_protected_refs_are_their_own_and_fallback_keys_need_a_runner_that_knows_them() {
    let bench = Bench::start().await;
    let file = "deps:\n  script: [echo]\n  cache:\n  - {key: deps, paths: [vendor/], fallback_keys: [main]}\n  \
                - {key: all, untracked: true, policy: pull, unprotect: true}\n";
    let project = bench.project("acme/widget", file).await;
    let mut runner = bench.any_runner().await;
    runner.features = json!({"cache": true});
    let pipeline = bench.pipeline(project).await;
    assert_eq!(runner.ask().await.status, 204);
    assert_eq!(bench.job(pipeline, "deps").await["failure_reason"], "runner_unsupported");
    runner.features = json!({"cache": true, "fallback_cache_keys": true});
    bench.pipeline(project).await;
    bench.sim(Method::POST, "pipelines", Some(json!({"project": project, "ref": "feature"}))).await;
    for kind in ["protected", "non_protected"] {
        let job = runner.take().await;
        let expected = json!([
            {"key": format!("deps-{kind}"), "untracked": false, "paths": ["vendor/"], "policy": "pull-push",
                "when": "on_success", "fallback_keys": [format!("main-{kind}")]},
            {"key": "all", "untracked": true, "paths": [], "policy": "pull", "when": "on_success", "fallback_keys": []},
        ]);
        assert_eq!(job.body["cache"], expected);
        job.end("success").await;
    }
}

#[tokio::test]
async fn a_job_with_reports_needs_a_runner_that_uploads_several_artifacts() {
    let bench = Bench::start().await;
    let file = "report:\n  script: [echo]\n  artifacts: {reports: {junit: x.xml}}\n\
                thin:\n  script: [echo]\n  artifacts: {paths: [x], exclude: [x/y]}\nplain:\n  script: [echo]\n";
    let project = bench.project("acme/widget", file).await;
    let mut runner = bench.any_runner().await;
    let pipeline = bench.pipeline(project).await;
    assert_eq!(runner.run("success").await, "plain");
    for job in ["report", "thin"] {
        assert_eq!(bench.job(pipeline, job).await["failure_reason"], "runner_unsupported", "{job}");
    }
    runner.features = json!({"upload_multiple_artifacts": true, "artifacts_exclude": true});
    bench.pipeline(project).await;
    assert_eq!(runner.run("success").await, "report");
    assert_eq!(runner.run("success").await, "thin");
}
