//! Job hooks: their shape, their headers, their order, their faults.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::Sha256;

use crate::bench::Bench;
use crate::receiver::{Message, Receiver};

const ONE: &str = "job:\n  script: [echo hi]\n";
const SIGNING: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// The fields of a job event in GitLab's order.
const TOP: [&str; 29] = [
    "object_kind",
    "ref",
    "tag",
    "before_sha",
    "sha",
    "retries_count",
    "build_id",
    "build_name",
    "build_stage",
    "build_status",
    "build_created_at",
    "build_started_at",
    "build_finished_at",
    "build_created_at_iso",
    "build_started_at_iso",
    "build_finished_at_iso",
    "build_duration",
    "build_queued_duration",
    "build_allow_failure",
    "build_failure_reason",
    "pipeline_id",
    "runner",
    "project_id",
    "project_name",
    "user",
    "commit",
    "repository",
    "project",
    "environment",
];
const RUNNER: [&str; 6] = ["id", "description", "runner_type", "active", "is_shared", "tags"];
const USER: [&str; 5] = ["id", "name", "username", "avatar_url", "email"];
const COMMIT: [&str; 13] = [
    "id",
    "name",
    "sha",
    "message",
    "author_name",
    "author_email",
    "author_url",
    "status",
    "duration",
    "started_at",
    "finished_at",
    "started_at_iso",
    "finished_at_iso",
];
const REPOSITORY: [&str; 7] =
    ["name", "url", "description", "homepage", "git_http_url", "git_ssh_url", "visibility_level"];
const PROJECT: [&str; 12] = [
    "id",
    "name",
    "description",
    "web_url",
    "avatar_url",
    "git_ssh_url",
    "git_http_url",
    "namespace",
    "visibility_level",
    "path_with_namespace",
    "default_branch",
    "ci_config_path",
];

/// A project with a hook that goes to the receiver; the hook's id.
pub(crate) async fn hooked(bench: &Bench, receiver: &Receiver) -> (u64, u64) {
    let project = bench.project("acme/back-end/widget-api", ONE).await;
    let body = json!({"project": project, "url": receiver.url, "token": "secret", "signing_token": SIGNING,
                      "host_header": "abc.execute-api.localhost:4600"});
    let hook = bench.sim(Method::POST, "hooks", Some(body)).await["id"].as_u64().unwrap();
    (project, hook)
}

pub(crate) async fn settled(bench: &Bench) -> Vec<Value> {
    bench.sim(Method::GET, "deliveries?wait_s=30", None).await.as_array().unwrap().clone()
}

fn of(messages: &[Message], status: &str) -> Message {
    messages.iter().find(|message| message.status() == status).unwrap_or_else(|| panic!("no {status}")).clone()
}

/// Checks that the keys of an object stand in this order in the text.
fn keys_in_order(text: &str, keys: &[&str]) {
    let value: Value = serde_json::from_str(text).unwrap();
    let mut found: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    let mut wanted = keys.to_vec();
    found.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(found, wanted);
    // Keys of an object inside may be the same, so the search goes on from where the last one was.
    let mut at = 0;
    for key in keys {
        let next = text[at..].find(&format!("\"{key}\":")).unwrap_or_else(|| panic!("{key} is out of order"));
        at += next;
    }
}

#[tokio::test]
async fn shapes_of_all_events() {
    let bench = Bench::start().await;
    let receiver = Receiver::start().await;
    let (project, _) = hooked(&bench, &receiver).await;
    let runner = bench
        .runner(json!({"runner_type": "project_type", "project_id": project, "tag_list": ["lambda"],
                                     "description": "pool"}))
        .await;
    bench.pipeline(project).await;
    runner.run("success").await;
    bench.pipeline(project).await;
    runner.run("failed").await;
    let pending = bench.pipeline(project).await;
    let id = bench.job(pending, "job").await["id"].clone();
    bench.sim(Method::POST, &format!("jobs/{id}/cancel"), None).await;
    settled(&bench).await;
    let messages = receiver.messages();
    for message in &messages {
        keys_in_order(&message.body, &TOP);
        let body = message.json();
        for (key, keys) in
            [("user", &USER[..]), ("commit", &COMMIT), ("repository", &REPOSITORY), ("project", &PROJECT)]
        {
            let mut found: Vec<&String> = body[key].as_object().unwrap().keys().collect();
            let mut wanted = keys.to_vec();
            found.sort_unstable();
            wanted.sort_unstable();
            assert_eq!(found, wanted, "{key}");
        }
        assert!(!message.body.contains(": ") || !message.body.contains("\": "), "compact");
        assert_eq!(body["project_name"], "Acme / Back End / Widget Api");
        assert_eq!(body["environment"], Value::Null);
    }
    let created = of(&messages, "created").json();
    for key in ["build_started_at", "build_duration", "build_queued_duration", "build_failure_reason", "runner"] {
        assert_eq!(created[key], Value::Null, "{key}");
    }
    let pending = of(&messages, "pending").json();
    assert_eq!((&pending["runner"], &pending["build_failure_reason"]), (&Value::Null, &json!("unknown_failure")));
    assert!(pending["build_queued_duration"].is_f64());
    let running = of(&messages, "running").json();
    let mut keys: Vec<&String> = running["runner"].as_object().unwrap().keys().collect();
    let mut wanted = RUNNER.to_vec();
    keys.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(keys, wanted);
    assert_eq!((&running["runner"]["tags"], &running["runner"]["is_shared"]), (&json!(["lambda"]), &json!(false)));
    assert!(running["build_duration"].is_f64() && running["build_finished_at"].is_null());
    assert!(running["build_started_at"].as_str().unwrap().ends_with(" UTC"));
    let success = of(&messages, "success").json();
    assert_eq!(
        (&success["commit"]["status"], &success["build_failure_reason"]),
        (&json!("success"), &json!("unknown_failure"))
    );
    assert_eq!(of(&messages, "failed").json()["build_failure_reason"], "script_failure");
    let canceled = of(&messages, "canceled").json();
    assert_eq!((&canceled["runner"], &canceled["build_started_at"]), (&Value::Null, &Value::Null));
    assert!(canceled["build_finished_at"].is_string() && canceled["build_duration"].is_null());
}

#[tokio::test]
async fn headers_and_signature() {
    let bench = Bench::start().await;
    let receiver = Receiver::start().await;
    let (project, _) = hooked(&bench, &receiver).await;
    bench.pipeline(project).await;
    settled(&bench).await;
    let message = receiver.messages().remove(0);
    for (name, value) in [
        ("content-type", "application/json"),
        ("user-agent", "GitLab/19.4.0-ee"),
        ("x-gitlab-event", "Job Hook"),
        ("x-gitlab-token", "secret"),
        ("x-gitlab-instance", bench.url.as_str()),
        ("host", "abc.execute-api.localhost:4600"),
    ] {
        assert_eq!(message.header(name), Some(value), "{name}");
    }
    let id = message.header("webhook-id").unwrap();
    assert_eq!(message.header("idempotency-key"), Some(id));
    for name in ["x-gitlab-webhook-uuid", "x-gitlab-event-uuid"] {
        assert_eq!(message.header(name).unwrap().len(), 36, "{name}");
    }
    let key: Vec<u8> = (0..32).collect();
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
    let timestamp = message.header("webhook-timestamp").unwrap();
    mac.update(format!("{id}.{timestamp}.{}", message.body).as_bytes());
    let expected = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
    assert_eq!(message.header("webhook-signature"), Some(expected.as_str()));
}

#[tokio::test]
async fn a_resend_keeps_its_message_id() {
    let bench = Bench::start().await;
    let receiver = Receiver::start().await;
    let (project, _) = hooked(&bench, &receiver).await;
    bench.pipeline(project).await;
    let delivery = settled(&bench).await.remove(0);
    let path = format!("deliveries/{}/resend", delivery["id"]);
    let again = bench.sim(Method::POST, &path, None).await;
    assert_eq!((&again["message"], &again["attempt"]), (&delivery["message"], &json!(2)));
    settled(&bench).await;
    let same = receiver.messages().iter().filter(|m| m.header("webhook-id") == delivery["message"].as_str()).count();
    assert_eq!(same, 2);
}

#[tokio::test]
async fn lost_doubled_and_held_deliveries() {
    let bench = Bench::start().await;
    let receiver = Receiver::start().await;
    let (project, _) = hooked(&bench, &receiver).await;
    let faults = json!({"hooks": {"lost": 1, "lost_status": "pending", "hold": true, "double": true}});
    bench.sim(Method::POST, "faults", Some(faults)).await;
    let pipeline = bench.pipeline(project).await;
    assert_eq!(receiver.messages().len(), 0);
    assert_eq!(bench.job(pipeline, "job").await["t"]["hook_sent"], Value::Null);
    assert_eq!(bench.sim(Method::POST, "hooks/release", None).await["released"], 2);
    let deliveries = settled(&bench).await;
    let states: Vec<&Value> = deliveries.iter().map(|delivery| &delivery["state"]).collect();
    assert_eq!(states, ["done", "done", "lost"]);
    let messages = receiver.messages();
    assert_eq!(messages.iter().map(Message::status).collect::<Vec<_>>(), ["created", "created"]);
    assert_eq!(messages[0].header("webhook-id"), messages[1].header("webhook-id"));
}

#[tokio::test]
async fn chance_loses_doubles_and_delays_deliveries_and_the_hook_stays_in_order() {
    let bench = Bench::start().await;
    let receiver = Receiver::start().await;
    let (project, hook) = hooked(&bench, &receiver).await;
    let drawn = async |what: &str| {
        let mut drawn = json!({"seed": 7, "late_ms": 1});
        drawn[what] = json!(100);
        bench.sim(Method::POST, "faults", Some(json!({"hooks": {"drawn": drawn}}))).await;
        bench.pipeline(project).await;
        let mut deliveries = settled(&bench).await;
        deliveries.retain(|delivery| delivery["hook"] == hook);
        (deliveries, receiver.messages().len())
    };
    let (deliveries, received) = drawn("lost").await;
    assert_eq!((deliveries.len(), received), (2, 0));
    assert!(deliveries.iter().all(|delivery| delivery["state"] == "lost"));
    let (deliveries, received) = drawn("doubled").await;
    assert_eq!((deliveries.len(), received), (6, 4));
    let (deliveries, received) = drawn("late").await;
    assert_eq!((deliveries.len(), received), (8, 6));
    assert_eq!(deliveries.iter().filter(|delivery| delivery["late"] == true).count(), 2);
    let hooks = bench.user(Method::GET, &format!("projects/{project}/hooks"), None).await.json();
    assert_eq!(hooks[0]["alert_status"], "executable");
}

#[tokio::test]
async fn the_deliveries_of_one_state_of_one_job_are_lost_doubled_or_late() {
    let bench = Bench::start().await;
    let receiver = Receiver::start().await;
    let (project, _) = hooked(&bench, &receiver).await;
    let runner = bench.any_runner().await;
    let told = |status: &str| receiver.messages().iter().filter(|message| message.status() == status).count();
    for (deed, expected) in [("lose", 0), ("double", 2), ("late:1", 3)] {
        bench.pipeline(project).await;
        let job = runner.take().await;
        let rule = |job: u64, name: &str| json!({"job": job, "status": "success", "do": deed, "name": name});
        let rules = json!({"hooks_of": [rule(job.id, "ours"), rule(job.id + 1, "another")]});
        bench.sim(Method::POST, "faults", Some(rules)).await;
        job.end("success").await;
        settled(&bench).await;
        let shown = bench.sim(Method::GET, "faults", None).await;
        let hits: Vec<&Value> = shown["hooks_of"].as_array().unwrap().iter().map(|rule| &rule["hits"]).collect();
        assert_eq!((told("success"), hits), (expected, vec![&json!(1), &json!(0)]), "{deed}");
        bench.sim(Method::DELETE, "faults?name=ours", None).await;
        let left = bench.sim(Method::GET, "faults", None).await;
        assert_eq!(left["hooks_of"][0]["name"], "another");
        bench.sim(Method::DELETE, "faults", None).await;
    }
    assert_eq!((told("pending"), told("running")), (3, 3));
}

#[tokio::test]
async fn created_can_come_after_pending() {
    let bench = Bench::start().await;
    let receiver = Receiver::start().await;
    let (project, _) = hooked(&bench, &receiver).await;
    bench.sim(Method::POST, "faults", Some(json!({"hooks": {"created_after_pending": true}}))).await;
    let pipeline = bench.pipeline(project).await;
    settled(&bench).await;
    assert_eq!(receiver.messages().iter().map(Message::status).collect::<Vec<_>>(), ["pending", "created"]);
    assert!(bench.job(pipeline, "job").await["t"]["hook_sent"].is_u64());
}

#[tokio::test]
async fn the_fourth_failure_disables_a_hook_and_nothing_is_tried_twice() {
    let bench = Bench::start().await;
    let receiver = Receiver::start().await;
    let (project, _) = hooked(&bench, &receiver).await;
    bench.settings(json!({"auto_disable": true})).await;
    receiver.answer(&[500, 404, 503, 401]);
    for _ in 0..2 {
        bench.pipeline(project).await;
        settled(&bench).await;
    }
    bench.pipeline(project).await;
    let deliveries = settled(&bench).await;
    let states: Vec<&Value> = deliveries.iter().map(|delivery| &delivery["state"]).collect();
    assert_eq!(states, ["failed", "failed", "failed", "failed", "disabled", "disabled"]);
    assert_eq!(receiver.messages().len(), 4);
    let hooks = bench.user(Method::GET, &format!("projects/{project}/hooks"), None).await.json();
    assert_eq!(hooks[0]["alert_status"], "temporarily_disabled");
}
