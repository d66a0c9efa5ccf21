//! Every call proves its token: the job's own, of this moment, and the runner's, of this moment.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Method, RequestBuilder};
use serde_json::json;

use crate::bench::{Bench, Taken};

const ONE: &str = "job:\n  script: [echo hi]\n";

/// The five calls about a job, with that token; the status of each: state, log, upload, download, git.
async fn calls(bench: &Bench, job: &Taken<'_>, token: &str) -> [u16; 5] {
    let api = |method, path: &str| bench.request(method, &format!("/api/v4/jobs/{}{path}", job.id));
    let put = api(Method::PUT, "").json(&json!({"token": token, "state": "running"}));
    let log = api(Method::PATCH, "/trace").header("JOB-TOKEN", token).header("Content-Type", "text/plain");
    let part = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.zip\"\r\n\r\nPK\r\n--b--\r\n";
    let upload = api(Method::POST, "/artifacts").header("JOB-TOKEN", token).body(part);
    let credentials = STANDARD.encode(format!("gitlab-ci-token:{token}"));
    let path = format!(
        "/{}.git/info/refs?service=git-upload-pack",
        job.body["job_info"]["project_full_path"].as_str().unwrap()
    );
    let requests: [RequestBuilder; 5] = [
        put,
        log.header("Content-Range", "0-0").body("x"),
        upload.header("Content-Type", "multipart/form-data; boundary=b"),
        api(Method::GET, "/artifacts").header("JOB-TOKEN", token),
        bench.request(Method::GET, &path).header("Authorization", format!("Basic {credentials}")),
    ];
    let mut statuses = [0; 5];
    for (status, request) in statuses.iter_mut().zip(requests) {
        *status = bench.send(request).await.status;
    }
    statuses
}

#[tokio::test]
async fn a_job_is_open_to_its_own_token_only_and_only_while_it_runs() {
    let bench = Bench::start().await;
    let project = bench.project("acme/widget", ONE).await;
    bench.pipeline(project).await;
    bench.pipeline(project).await;
    let runner = bench.any_runner().await;
    let (job, other) = (runner.take().await, runner.take().await);
    for token in ["glcbt-66_nobody", &runner.token] {
        assert_eq!(calls(&bench, &job, token).await, [403, 403, 403, 403, 401], "{token}");
    }
    let foreign = calls(&bench, &job, &other.token).await;
    assert_eq!(foreign, [403, 403, 403, 404, 200], "another job of the project may fetch what this one leaves");
    let nothing = calls(&bench, &job, "").await;
    assert_eq!(nothing, [403, 403, 403, 403, 401]);
    assert!(bench.violations().await.iter().all(|kind| kind == "wrong_token"));
    bench.sim(Method::POST, "reset", None).await;

    let project = bench.project("acme/gadget", ONE).await;
    bench.pipeline(project).await;
    let runner = bench.any_runner().await;
    let job = runner.take().await;
    assert_eq!(calls(&bench, &job, &job.token).await, [200, 202, 201, 200, 200]);
    assert_eq!(bench.violations().await, [""; 0]);
    assert_eq!(job.end("failed").await.status, 200);
    assert_eq!(calls(&bench, &job, &job.token).await, [403, 403, 403, 403, 401]);
    assert_eq!(bench.violations().await, ["dead_token"; 5]);
}

#[tokio::test]
async fn a_token_that_is_only_offered_accepts_and_does_nothing_else() {
    let bench = Bench::start().await;
    bench.settings(json!({"two_phase": true})).await;
    let project = bench.project("acme/widget", ONE).await;
    bench.pipeline(project).await;
    let job = bench.any_runner().await.take().await;
    let state = job.put(json!({"state": "pending"})).await.status;
    let [_, rest @ ..] = {
        // The first of the calls is the acceptance; the others are made before it.
        let path = format!("/api/v4/jobs/{}", job.id);
        let artifacts = bench.request(Method::GET, &format!("{path}/artifacts")).header("JOB-TOKEN", &job.token);
        let refs = format!("{}/info/refs?service=git-upload-pack", job.body["git_info"]["repo_url"].as_str().unwrap());
        [
            state,
            job.patch(0, "x").await.status,
            bench.send(artifacts).await.status,
            bench.send(bench.http.get(refs)).await.status,
        ]
    };
    assert_eq!((state, rest), (200, [403, 403, 401]));
    assert_eq!(bench.violations().await, ["trace_before_accept", "before_accept", "before_accept"]);
    assert_eq!(calls(&bench, &job, &job.token).await, [200, 202, 201, 200, 200]);
}

#[tokio::test]
async fn a_revoked_runner_token_is_refused_everywhere_and_its_job_goes_on() {
    let bench = Bench::start().await;
    let project = bench.project("acme/widget", ONE).await;
    bench.pipeline(project).await;
    let runner = bench.any_runner().await;
    let job = runner.take().await;
    let path = format!("runners/{}/reset_authentication_token", runner.id);
    assert_eq!(bench.user(Method::POST, &path, None).await.status, 201);
    let machine = json!({"token": runner.token, "system_id": runner.system_id});
    for (method, path) in [
        (Method::POST, "jobs/request"),
        (Method::POST, "runners/verify"),
        (Method::POST, "runners/reset_authentication_token"),
        (Method::DELETE, "runners/managers"),
        (Method::DELETE, "runners"),
    ] {
        let request = bench.request(method, &format!("/api/v4/{path}")).json(&machine);
        assert_eq!(bench.send(request).await.status, 403, "{path}");
    }
    assert_eq!(job.end("success").await.status, 200);
}

#[tokio::test]
async fn odd_machines_and_two_tokens_are_noted() {
    let bench = Bench::start().await;
    let mut runner = bench.any_runner().await;
    for (system_id, status) in
        [("", 400), ("x", 204), ("r_short", 204), ("q_abcdefghijkl", 204), ("s_0123456789ab", 204)]
    {
        runner.system_id = system_id.to_owned();
        assert_eq!(runner.ask().await.status, status, "{system_id:?}");
    }
    assert_eq!(bench.violations().await, ["system_id"; 3]);
    let ask = json!({"token": runner.token, "system_id": "s_0123456789ab"});
    let request = bench.request(Method::POST, "/api/v4/jobs/request").header("RUNNER-TOKEN", "glrt-other");
    assert_eq!(bench.send(request.json(&ask)).await.status, 204, "the body's token counts");
    assert_eq!(bench.violations().await[3..], ["two_tokens"]);
}

#[tokio::test]
async fn job_tokens_can_be_as_long_as_a_jwt() {
    let bench = Bench::start().await;
    bench.settings(json!({"long_tokens": true})).await;
    let project = bench.project("acme/widget", ONE).await;
    bench.pipeline(project).await;
    let job = bench.any_runner().await.take().await;
    assert!(job.token.len() > 1500 && job.token.starts_with("glcbt-") && job.token.matches('.').count() == 2);
    assert_eq!(calls(&bench, &job, &job.token).await, [200, 202, 201, 200, 200]);
    assert_eq!(calls(&bench, &job, &job.token[..1500]).await, [403, 403, 403, 403, 401]);
}

#[tokio::test]
async fn calls_about_a_job_are_limited_per_token() {
    let bench = Bench::start().await;
    bench.settings(json!({"job_per_min": 3})).await;
    let project = bench.project("acme/widget", ONE).await;
    bench.pipeline(project).await;
    bench.pipeline(project).await;
    let runner = bench.any_runner().await;
    let (job, other) = (runner.take().await, runner.take().await);
    assert_eq!(calls(&bench, &job, &job.token).await, [200, 202, 201, 200, 200]);
    assert_eq!(
        calls(&bench, &job, &job.token).await,
        [429, 416, 429, 429, 200],
        "log and git have counts of their own"
    );
    let refused = job.put(json!({"state": "running"})).await;
    assert_eq!(refused.status, 429);
    assert!(refused.header("retry-after").unwrap().parse::<u64>().unwrap() >= 1);
    assert_eq!(other.end("success").await.status, 200);
}
