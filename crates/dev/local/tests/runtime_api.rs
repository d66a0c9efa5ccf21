//! The Runtime API with a real function behind it: ingest, without any AWS.

#![allow(clippy::unwrap_used, reason = "a test's helper may panic: that fails the test")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use runnerless_local::runtime_api::{Function, Invocation, Outcome, Program, RuntimeApiError};
use serde_json::json;

const PATIENCE: Duration = Duration::from_secs(60);

/// A binary of the workspace; `make test` builds them all.
fn built(name: &str) -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_runnerless-local")).with_file_name(name)
}

/// Ingest refuses a request for another path before it reads any secret: nothing listens at the endpoint.
fn ingest() -> Program {
    Program::new(built("ingest"))
        .env("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
        .env("AWS_SECRET_ACCESS_KEY", "secret")
        .env("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        .env("RUNNERLESS_PARAMETER_PATH", "/runnerless")
        .env("RUNNERLESS_LEDGER_TABLE", "ledger")
        .env("RUNNERLESS_EVENT_BUS", "bus")
        .env("RUNNERLESS_GITLAB_URL", "https://gitlab.example.com")
        .env("RUNNERLESS_ALLOW_TOKEN_WITH_SIGNING_KEY", "false")
}

fn event(id: &str, path: &str) -> Invocation {
    let event = json!({"version": "2.0", "rawPath": path, "requestContext": {"http": {"method": "POST"}}});
    Invocation::new(id, &event, Duration::from_secs(10))
}

#[tokio::test]
async fn a_function_starts_is_handed_one_event_after_the_other_and_answers_each() {
    let mut function = Function::start(&ingest(), PATIENCE).await.unwrap();
    let ready = function.ready().await.unwrap();
    assert!(ready > function.spawned());
    for id in ["r-1", "r-2"] {
        let answer = function.invoke(&event(id, "/elsewhere")).await.unwrap();
        assert_eq!(answer.json().unwrap()["statusCode"], 404);
        assert!(answer.handed >= ready && answer.answered > answer.handed);
    }
    assert_eq!(function.ready().await.unwrap(), ready, "the first request for an event is the end of the start");
}

#[tokio::test]
async fn an_error_arrives_with_its_name() {
    let mut function = Function::start(&ingest(), PATIENCE).await.unwrap();
    let mut broken = event("r-1", "/webhook");
    broken.event = "7".into();
    let answer = function.invoke(&broken).await.unwrap();
    let Outcome::Failure(failure) = &answer.outcome else { panic!("{answer:?}") };
    let body: serde_json::Value = serde_json::from_slice(&failure.body).unwrap();
    assert!(body["errorType"].as_str().is_some_and(|name| !name.is_empty()), "{body}");
    assert_eq!(answer.json(), None);
}

#[tokio::test]
async fn a_killed_function_and_one_that_cannot_start_are_told_from_a_slow_one() {
    let mut function = Function::start(&ingest(), PATIENCE).await.unwrap();
    function.ready().await.unwrap();
    let process = function.process().unwrap();
    assert!(!function.kill().await.unwrap().success());
    assert!(!process.is_alive());
    assert!(matches!(function.invoke(&event("r-1", "/")).await, Err(RuntimeApiError::Ended(_))));

    let mut nothing_set = Function::start(&Program::new(built("ingest")), PATIENCE).await.unwrap();
    assert!(matches!(nothing_set.ready().await, Err(RuntimeApiError::Ended(status)) if !status.success()));
}

#[tokio::test]
async fn a_prefix_becomes_the_program_and_ends_with_the_function() {
    let mut function = Function::start(&ingest().prefix(["nice", "-n", "1"]), PATIENCE).await.unwrap();
    function.ready().await.unwrap();
    let process = function.process().unwrap();
    drop(function);
    assert!(process.ended_within(PATIENCE).await);
}
