//! What GitLab does to hooks beside sending them: two at once, in any order, too many, and those that fail.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};

use crate::bench::Bench;
use crate::hook_events::{hooked, settled};
use crate::receiver::{Message, Receiver};

fn states(deliveries: &[Value]) -> Vec<&str> {
    deliveries.iter().map(|delivery| delivery["state"].as_str().unwrap()).collect()
}

async fn alert(bench: &Bench, project: u64, hook: u64) -> Value {
    bench.user(Method::GET, &format!("projects/{project}/hooks/{hook}"), None).await.json()["alert_status"].clone()
}

/// A project with so many jobs in its pipeline, and a hook.
async fn crowd(bench: &Bench, receiver: &Receiver, jobs: u32) -> (u64, u64) {
    let project = bench.project("acme/crowd", &format!("job:\n  script: [echo]\n  parallel: {jobs}\n")).await;
    let body = json!({"project": project, "url": receiver.url});
    let hook = bench.sim(Method::POST, "hooks", Some(body)).await["id"].as_u64().unwrap();
    (project, hook)
}

#[tokio::test]
async fn two_hooks_of_a_project_each_get_a_message_of_their_own() {
    let bench = Bench::start().await;
    let (one, two) = (Receiver::start().await, Receiver::start().await);
    let (project, _) = hooked(&bench, &one).await;
    bench.sim(Method::POST, "hooks", Some(json!({"project": project, "url": two.url}))).await;
    bench.pipeline(project).await;
    settled(&bench).await;
    let of = |receiver: &Receiver, name: &str| -> Vec<String> {
        receiver.messages().iter().map(|message| message.header(name).unwrap().to_owned()).collect()
    };
    assert_eq!((of(&one, "webhook-id").len(), of(&two, "webhook-id").len()), (2, 2));
    let ids: BTreeSet<String> = of(&one, "webhook-id").into_iter().chain(of(&two, "webhook-id")).collect();
    assert_eq!(ids.len(), 4, "no message id is shared between hooks");
    let sorted = |mut list: Vec<String>| {
        list.sort();
        list
    };
    assert_eq!(sorted(of(&one, "x-gitlab-event-uuid")), sorted(of(&two, "x-gitlab-event-uuid")));
    assert!(two.messages().iter().all(|message| message.header("x-gitlab-token").is_none()), "nor is a secret");
}

#[tokio::test]
async fn each_message_comes_on_a_connection_of_its_own() {
    let bench = Bench::start().await;
    let receiver = Receiver::start().await;
    let (project, _) = hooked(&bench, &receiver).await;
    // One after the other, so that a connection could be kept.
    for _ in 0..2 {
        bench.pipeline(project).await;
        settled(&bench).await;
    }
    assert_eq!((receiver.messages().len(), receiver.connections()), (4, 4));
}

#[tokio::test]
async fn shuffled_deliveries_come_once_each_and_in_another_order() {
    let bench = Bench::start().await;
    let receiver = Receiver::start().await;
    let (project, _) = crowd(&bench, &receiver, 20).await;
    bench.sim(Method::POST, "faults", Some(json!({"hooks": {"shuffle": true, "shuffle_ms": 300}}))).await;
    bench.pipeline(project).await;
    assert!(settled(&bench).await.iter().all(|delivery| delivery["state"] == "done"));
    let pending: Vec<Message> = receiver.messages().into_iter().filter(|m| m.status() == "pending").collect();
    let jobs: Vec<u64> = pending.iter().map(|message| message.json()["build_id"].as_u64().unwrap()).collect();
    let unique: BTreeSet<u64> = jobs.iter().copied().collect();
    assert_eq!((jobs.len(), unique.len(), receiver.messages().len()), (20, 20, 40));
    assert_ne!(jobs, unique.into_iter().collect::<Vec<_>>(), "twenty in order by chance: one in 10^18");
}

#[tokio::test]
async fn a_paused_hook_goes_on_after_its_pause_and_a_success_forgives_all() {
    let bench = Bench::start().await;
    let receiver = Receiver::start().await;
    let (project, hook) = hooked(&bench, &receiver).await;
    bench.settings(json!({"auto_disable": true, "auto_disable_s": 0.2})).await;
    receiver.answer(&[500, 500, 302, 500, 500, 500, 500]);
    for _ in 0..2 {
        bench.pipeline(project).await;
        settled(&bench).await;
    }
    assert_eq!(alert(&bench, project, hook).await, "executable", "302 is no failure: two in a row at most");
    for _ in 0..2 {
        bench.pipeline(project).await;
        settled(&bench).await;
    }
    while alert(&bench, project, hook).await != "executable" {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let before = receiver.messages().len();
    bench.pipeline(project).await;
    assert_eq!(states(&settled(&bench).await)[8..], ["done", "done"]);
    assert_eq!(receiver.messages().len(), before + 2);
    assert_eq!(bench.sim(Method::GET, "hooks", None).await[0]["failures"], 0);
}

#[tokio::test]
async fn what_still_waits_when_its_hook_is_disabled_is_not_sent() {
    let bench = Bench::start().await;
    let receiver = Receiver::start().await;
    let (project, _) = hooked(&bench, &receiver).await;
    bench.settings(json!({"auto_disable": true})).await;
    bench.sim(Method::POST, "faults", Some(json!({"hooks": {"hold": true}}))).await;
    bench.pipeline(project).await;
    bench.sim(Method::POST, "faults", Some(json!({"hooks": {}}))).await;
    receiver.answer(&[500; 4]);
    for _ in 0..2 {
        bench.pipeline(project).await;
        settled(&bench).await;
    }
    bench.sim(Method::POST, "hooks/release", None).await;
    let expected = ["disabled", "disabled", "failed", "failed", "failed", "failed"];
    assert_eq!(states(&settled(&bench).await), expected);
    assert_eq!(receiver.messages().len(), 4);
}

#[tokio::test]
async fn the_fortieth_failure_is_the_last_until_a_test_goes_well() {
    let bench = Bench::start().await;
    let receiver = Receiver::start().await;
    let (project, hook) = crowd(&bench, &receiver, 20).await;
    // Pauses of no length: only the count matters here.
    bench.settings(json!({"auto_disable": true, "auto_disable_s": 0.0})).await;
    receiver.answer(&[500; 41]);
    bench.pipeline(project).await;
    assert!(settled(&bench).await.iter().all(|delivery| delivery["state"] == "failed"));
    assert_eq!(alert(&bench, project, hook).await, "disabled");
    bench.pipeline(project).await;
    assert!(states(&settled(&bench).await)[40..].iter().all(|state| *state == "disabled"));
    let path = format!("projects/{project}/hooks/{hook}/test/job_events");
    let failed = bench.user(Method::POST, &path, None).await;
    assert_eq!((failed.status, failed.text.contains("500")), (422, true));
    assert_eq!(alert(&bench, project, hook).await, "disabled");
    assert_eq!(bench.user(Method::POST, &path, None).await.status, 201);
    assert_eq!(alert(&bench, project, hook).await, "executable");
    let tried = receiver.messages().pop().unwrap().json();
    let created = tried["build_created_at"].as_str().unwrap();
    assert!(
        created.contains('T') && created.ends_with('Z') && created.len() == 24,
        "{created}: as the user API spells it"
    );
    for _ in 0..3 {
        bench.user(Method::POST, &path, None).await;
    }
    let limited = bench.user(Method::POST, &path, None).await;
    assert_eq!(limited.status, 429);
    assert!(limited.header("retry-after").is_some());
}

#[tokio::test]
async fn a_namespace_that_sends_too_many_loses_the_rest_silently() {
    let bench = Bench::start().await;
    let receiver = Receiver::start().await;
    let (project, hook) = crowd(&bench, &receiver, 3).await;
    bench.settings(json!({"hooks_per_min": 4, "auto_disable": true})).await;
    bench.pipeline(project).await;
    let deliveries = settled(&bench).await;
    assert_eq!(states(&deliveries), ["done", "done", "done", "done", "rate_limited", "rate_limited"]);
    assert_eq!(receiver.messages().len(), 4);
    assert_eq!(alert(&bench, project, hook).await, "executable", "what was not sent did not fail");
    let other = bench.project("elsewhere/one", "job:\n  script: [echo]\n").await;
    bench.sim(Method::POST, "hooks", Some(json!({"project": other, "url": receiver.url}))).await;
    bench.pipeline(other).await;
    assert_eq!(states(&settled(&bench).await)[6..], ["done", "done"], "each top-level namespace has its own count");
}
