//! Faults of the server, and the record of requests.

use reqwest::Method;
use serde_json::{Value, json};

use crate::bench::Bench;

const ONE: &str = "job:\n  script: [echo hi]\n";

#[tokio::test]
async fn a_status_is_given_to_the_nth_requests() {
    let bench = Bench::start().await;
    let runner = bench.any_runner().await;
    let rule = json!([{"match": {"method": "POST", "path": "jobs/request"}, "nth": 2, "times": 1, "do": "status:429",
                       "headers": {"Retry-After": "1"}}]);
    bench.sim(Method::POST, "faults", Some(rule)).await;
    assert_eq!(runner.ask().await.status, 204);
    let refused = runner.ask().await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("1")));
    assert_eq!(runner.ask().await.status, 204);
}

#[tokio::test]
async fn every_third_request_is_hit_until_the_rule_is_gone() {
    let bench = Bench::start().await;
    let runner = bench.any_runner().await;
    let rule = json!({"match": {"path": "jobs/request"}, "every": 3, "do": "status:409"});
    bench.sim(Method::POST, "faults", Some(rule)).await;
    let mut statuses = Vec::new();
    for _ in 0..7 {
        statuses.push(runner.ask().await.status);
    }
    assert_eq!(statuses, [204, 204, 409, 204, 204, 409, 204]);
    bench.sim(Method::DELETE, "faults", None).await;
    for _ in 0..4 {
        assert_eq!(runner.ask().await.status, 204);
    }
}

#[tokio::test]
async fn a_request_that_is_held_is_done_when_the_faults_are_taken_back() {
    let bench = Bench::start().await;
    let project = bench.project("acme/widget", ONE).await;
    let (first, second) = (bench.any_runner().await, bench.any_runner().await);
    bench.sim(Method::POST, "faults", Some(json!({"match": {"path": "jobs/request"}, "do": "hold"}))).await;
    let pipeline = bench.pipeline(project).await;
    let other = async {
        // The rule has seen the first one before the second one asks.
        while bench.sim(Method::GET, "faults", None).await["http"][0]["seen"] != 1 {
            tokio::task::yield_now().await;
        }
        let status = second.ask().await.status;
        let runner = bench.job(pipeline, "job").await["runner"].clone();
        bench.sim(Method::DELETE, "faults", None).await;
        (status, runner)
    };
    let (held, (status, runner)) = tokio::join!(first.ask(), other);
    assert_eq!((held.status, status), (204, 201), "the one that came later got the job");
    assert!(runner.is_number());
}

#[tokio::test]
async fn a_lost_answer_was_a_deed_all_the_same() {
    let bench = Bench::start().await;
    let project = bench.project("acme/widget", ONE).await;
    let pipeline = bench.pipeline(project).await;
    let runner = bench.any_runner().await;
    bench.sim(Method::POST, "faults", Some(json!({"match": {"path": "jobs/request"}, "do": "lose_answer"}))).await;
    let body = json!({"token": runner.token});
    let lost = bench.request(Method::POST, "/api/v4/jobs/request").json(&body).send().await;
    assert!(lost.is_err());
    assert_eq!(bench.job(pipeline, "job").await["status"], "running");
}

#[tokio::test]
async fn a_rule_can_be_about_one_runner_and_be_lifted_by_its_name() {
    let bench = Bench::start().await;
    let (one, other) = (bench.any_runner().await, bench.any_runner().await);
    let rule = |token: &str, name: &str| json!({"match": {"path": "jobs/request", "holds": token}, "every": 1, "do": "status:409", "name": name});
    bench.sim(Method::POST, "faults", Some(json!([rule(&one.token, "a"), rule("no such token", "b")]))).await;
    let asked = async || [one.ask().await.status, other.ask().await.status];
    assert_eq!(asked().await, [409, 204]);
    bench.sim(Method::DELETE, "faults?name=b", None).await;
    assert_eq!(asked().await, [409, 204]);
    bench.sim(Method::DELETE, "faults?name=a", None).await;
    assert_eq!(asked().await, [204, 204]);
}

#[tokio::test]
async fn a_late_answer_was_a_deed_before_it_came() {
    let bench = Bench::start().await;
    let project = bench.project("acme/widget", ONE).await;
    let pipeline = bench.pipeline(project).await;
    let runner = bench.any_runner().await;
    let rule = json!({"match": {"path": "jobs/request"}, "do": "late_answer:600000"});
    bench.sim(Method::POST, "faults", Some(rule)).await;
    let running = async {
        while bench.job(pipeline, "job").await["status"] != "running" {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        reply = runner.ask() => panic!("answered {} already", reply.status),
        () = running => {}
    }
}

#[tokio::test]
async fn an_answer_breaks_off_and_a_request_is_cut() {
    let bench = Bench::start().await;
    let rules = json!([
        {"match": {"path": "version"}, "do": "disconnect_after:5"},
        {"match": {"path": "runners/verify"}, "do": "cut_request:3"},
    ]);
    bench.sim(Method::POST, "faults", Some(rules)).await;
    let answer =
        bench.request(Method::GET, "/api/v4/version").header("PRIVATE-TOKEN", &bench.admin).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert!(answer.text().await.is_err());
    let cut = bench.request(Method::POST, "/api/v4/runners/verify").json(&json!({"token": "glrt-x"})).send().await;
    assert!(cut.is_err());
    assert_eq!(bench.user(Method::GET, "version", None).await.status, 200);
}

#[tokio::test]
async fn requests_are_recorded_without_tokens() {
    let bench = Bench::start().await;
    let project = bench.project("acme/widget", ONE).await;
    bench.pipeline(project).await;
    let runner = bench.any_runner().await;
    let job = runner.take().await;
    job.end("success").await;
    job.end("success").await;
    let text = bench.send(bench.request(Method::GET, "/_sim/v1/requests")).await.text;
    assert!(!text.contains(&runner.token) && !text.contains(&job.token) && !text.contains(&bench.admin));
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let shown: Vec<(&str, &str, u64)> = lines
        .iter()
        .map(|line| {
            (line["method"].as_str().unwrap(), line["token"].as_str().unwrap(), line["status"].as_u64().unwrap())
        })
        .collect();
    let expected = [("POST", "admin", 201), ("POST", "runner", 201), ("PUT", "job", 200), ("PUT", "dead job", 403)];
    assert_eq!(shown, expected);
    assert_eq!((&lines[1]["job"], &lines[1]["system_id"]), (&json!(job.id), &json!("r_abcdefghijkl")));
    let since = format!("/_sim/v1/requests?since={}", lines[2]["seq"]);
    assert_eq!(bench.send(bench.request(Method::GET, &since)).await.text.lines().count(), 1);
}

#[tokio::test]
async fn bad_rules_and_settings_are_refused_by_name() {
    let bench = Bench::start().await;
    for (path, body, word) in [
        ("faults", json!([{"match": {}, "do": "explode"}]), "explode"),
        ("faults", json!([{"match": {}, "do": "status:503", "nth": 0}]), "nth"),
        ("faults", json!([{"match": {}, "do": "status:503", "every": 0}]), "every"),
        ("faults", json!({"hooks": {"los": 1}}), "los"),
        ("faults", json!({"hooks_of": [{"job": 1, "status": "success", "do": "late:soon"}]}), "late:<milliseconds>"),
        ("faults", json!({"hooks_of": [{"job": 1, "status": "success", "do": "hide"}]}), "lose, double"),
        ("settings", json!({"two_faze": true}), "two_faze"),
        ("settings", json!({"two_phase": "x"}), "settings"),
        ("settings", json!({"distort": ["all"]}), "null_arrays"),
    ] {
        let reply = bench.send(bench.request(Method::POST, &format!("/_sim/v1/{path}")).json(&body)).await;
        assert_eq!(reply.status, 400, "{body}");
        assert!(reply.text.contains(word), "{body}: {}", reply.text);
    }
}

#[tokio::test]
async fn a_reset_forgets_everything_but_the_numbers() {
    let bench = Bench::start().await;
    let project = bench.project("acme/widget", ONE).await;
    let pipeline = bench.pipeline(project).await;
    bench.settings(json!({"two_phase": true})).await;
    bench.sim(Method::POST, "reset", None).await;
    assert_eq!(bench.sim(Method::GET, "pipelines", None).await, json!([]));
    assert_eq!(bench.sim(Method::GET, "settings", None).await["two_phase"], false);
    let project = bench.project("acme/gadget", ONE).await;
    assert!(bench.pipeline(project).await > pipeline);
}
