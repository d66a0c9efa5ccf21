//! Jobs that deploy: files of others, one at a time, and who they are.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gitlab_sim::Stop;
use reqwest::Method;
use serde_json::{Value, json};

use crate::bench::Bench;

/// A variable of a job's body.
fn variable<'b>(body: &'b Value, key: &str) -> &'b Value {
    let all = body["variables"].as_array().unwrap();
    all.iter().rfind(|variable| variable["key"] == key).unwrap_or_else(|| panic!("no {key}"))
}

/// What everybody may read.
async fn get(bench: &Bench, path: &str) -> Value {
    bench.send(bench.request(Method::GET, path)).await.json()
}

#[tokio::test]
async fn a_file_of_the_commit_is_included_and_its_job_extended() {
    let bench = Bench::start().await;
    let file = "include: ci/base.yml\njob:\n  extends: .base\n  variables: {B: own}\n";
    let others = [("ci/base.yml", ".base:\n  script: [echo base]\n  variables: {A: base, B: base}\n")];
    let project = bench.project_of("acme/widget", file, &others).await;
    bench.pipeline(project).await;
    let job = bench.any_runner().await.take().await;
    assert_eq!(job.body["steps"][0]["script"], json!(["echo base"]));
    assert_eq!(
        (&variable(&job.body, "A")["value"], &variable(&job.body, "B")["value"]),
        (&json!("base"), &json!("own"))
    );
    let gone = bench.project("acme/gone", "include: ci/gone.yml\njob: {script: [echo]}\n").await;
    let refused = bench.user(Method::POST, &format!("projects/{gone}/pipeline?ref=main"), None).await;
    assert_eq!(refused.status, 400);
    assert!(refused.text.contains("`include:ci/gone.yml` is no file of the commit"), "{}", refused.text);
}

#[tokio::test]
async fn of_a_resource_group_one_job_at_a_time_may_be_asked_for() {
    let bench = Bench::start().await;
    let file = "variables: {WHERE: production}\n\
                one: {script: [echo], resource_group: $WHERE}\n\
                two: {script: [echo], resource_group: production}\n\
                other: {script: [echo], resource_group: elsewhere}\n";
    let project = bench.project("acme/widget", file).await;
    let runner = bench.any_runner().await;
    let first = bench.pipeline(project).await;
    let second = bench.pipeline(project).await;
    let state = |pipeline, name: &'static str| {
        let bench = &bench;
        async move { bench.job(pipeline, name).await["status"].as_str().unwrap().to_owned() }
    };
    assert_eq!(
        (state(first, "one").await, state(first, "two").await),
        ("pending".into(), "waiting_for_resource".into())
    );
    assert_eq!(state(first, "other").await, "pending");
    assert_eq!(state(second, "one").await, "waiting_for_resource");
    let one = runner.take().await;
    let other = runner.take().await;
    assert_eq!((&one.body["job_info"]["name"], &other.body["job_info"]["name"]), (&json!("one"), &json!("other")));
    assert_eq!(state(first, "two").await, "waiting_for_resource", "one is running");
    assert_eq!(one.end("failed").await.status, 200);
    assert_eq!(
        (state(first, "two").await, state(second, "one").await),
        ("pending".into(), "waiting_for_resource".into())
    );
    // A person ends the one whose turn it is before any runner has it.
    let id = bench.job(first, "two").await["id"].clone();
    assert_eq!(bench.user(Method::POST, &format!("projects/{project}/jobs/{id}/cancel"), None).await.status, 201);
    assert_eq!(state(second, "one").await, "pending");
    // Nothing is left of a group whose jobs have ended.
    for name in ["one", "two"] {
        let job = bench.job(second, name).await;
        bench.sim(Method::POST, &format!("jobs/{}/cancel", job["id"]), None).await;
    }
    let third = bench.pipeline(project).await;
    assert_eq!(state(third, "one").await, "pending");
}

#[tokio::test]
async fn a_job_knows_its_environment_and_says_who_it_is() {
    let mut bench = Bench::start().await;
    let file = "deploy:\n  script: [echo]\n\
                \x20 environment: {name: review/$CI_COMMIT_REF_NAME, url: 'https://$CI_ENVIRONMENT_SLUG.example'}\n\
                \x20 id_tokens: {ONE: {aud: $CI_SERVER_URL}, TWO: {aud: [a, b]}}\n";
    let project = bench.project("acme/widget", file).await;
    bench.pipeline(project).await;
    let job = bench.any_runner().await.take().await;
    let value = |key: &str| variable(&job.body, key)["value"].as_str().unwrap().to_owned();
    assert_eq!((value("CI_ENVIRONMENT_NAME"), value("CI_ENVIRONMENT_ACTION")), ("review/main".into(), "start".into()));
    assert_eq!(value("CI_ENVIRONMENT_URL"), format!("https://{}.example", value("CI_ENVIRONMENT_SLUG")));
    let (one, two) = (variable(&job.body, "ONE"), variable(&job.body, "TWO"));
    assert_eq!((&one["masked"], &one["public"]), (&json!(true), &json!(false)));
    let claims = |token: &Value| -> Value {
        let part = token["value"].as_str().unwrap().split('.').nth(1).unwrap().to_owned();
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
    };
    let said = claims(one);
    let configuration = get(&bench, "/.well-known/openid-configuration").await;
    assert_eq!((&said["iss"], &said["aud"]), (&configuration["issuer"], &configuration["issuer"]));
    assert_eq!(said["sub"], "project_path:acme/widget:ref_type:branch:ref:main");
    assert_eq!((&said["environment"], &said["job_id"]), (&json!("review/main"), &json!(job.id.to_string())));
    assert_eq!(claims(two)["aud"], json!(["a", "b"]));
    let head = one["value"].as_str().unwrap().split('.').next().unwrap().to_owned();
    let head: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(head).unwrap()).unwrap();
    let keys = get(&bench, "/oauth/discovery/keys").await;
    assert_eq!(head["kid"], keys["keys"][0]["kid"]);
    assert!(configuration["jwks_uri"].as_str().unwrap().ends_with("/oauth/discovery/keys"));
    drop(job);
    bench.stop(Stop::Asked).await;
    bench.start_again().await;
    assert_eq!(get(&bench, "/oauth/discovery/keys").await, keys, "tokens hold over a restart");
}

#[tokio::test]
async fn a_token_in_the_log_is_a_leak() {
    let bench = Bench::start().await;
    let project = bench.project("acme/widget", "job:\n  script: [echo]\n  id_tokens: {T: {aud: a}}\n").await;
    bench.pipeline(project).await;
    let job = bench.any_runner().await.take().await;
    let token = variable(&job.body, "T")["value"].as_str().unwrap().to_owned();
    assert_eq!(job.patch(0, &token).await.status, 202);
    job.end("success").await;
    assert_eq!(bench.violations().await, ["secret_in_log"]);
}
