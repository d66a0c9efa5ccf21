//! An orderly restart: nothing is forgotten, and what came due meanwhile happens.

use gitlab_sim::{StartError, Stop};
use reqwest::Method;
use serde_json::{Value, json};

use crate::bench::{Bench, Runner, Taken};
use crate::receiver::Receiver;

const TWO: &str =
    "stages: [a, b]\none:\n  stage: a\n  script: [echo]\n  parallel: 2\ntwo:\n  stage: b\n  script: [echo]\n";

/// Everything that the control interface shows, but for what a look itself changes.
async fn everything(bench: &Bench) -> Vec<Value> {
    let mut all = Vec::new();
    let paths =
        ["projects", "pipelines", "jobs", "hooks", "deliveries?bodies=true", "violations", "settings", "faults"];
    for path in paths {
        all.push(bench.sim(Method::GET, path, None).await);
    }
    for path in ["requests", "events?since=0&follow=false"] {
        let text = bench.send(bench.request(Method::GET, &format!("/_sim/v1/{path}"))).await.text;
        all.push(Value::from(text));
    }
    all
}

/// What a runner and a job hold, without borrowing the bench: it is stopped meanwhile.
struct Held {
    runner: (u64, String),
    job: (u64, String, Value),
}

impl Held {
    fn of(runner: &Runner<'_>, job: &Taken<'_>) -> Self {
        Self { runner: (runner.id, runner.token.clone()), job: (job.id, job.token.clone(), job.body.clone()) }
    }

    fn runner<'a>(&self, bench: &'a Bench) -> Runner<'a> {
        bench.runner_with(self.runner.0, &self.runner.1)
    }

    fn job<'a>(&self, bench: &'a Bench) -> Taken<'a> {
        bench.taken(self.job.0, &self.job.1, self.job.2.clone())
    }
}

#[tokio::test]
async fn everything_is_as_it_was_and_the_job_in_hand_goes_on() {
    let mut bench = Bench::start().await;
    let receiver = Receiver::start().await;
    let project = bench.project("acme/widget", TWO).await;
    bench.sim(Method::POST, "hooks", Some(json!({"project": project, "url": receiver.url, "token": "s"}))).await;
    bench.settings(json!({"trace_per_min": 3, "trace_interval_s": 7})).await;
    let rule = json!({"match": {"path": "runners/verify"}, "every": 2, "do": "status:503"});
    bench.sim(Method::POST, "faults", Some(rule)).await;
    let pipeline = bench.pipeline(project).await;
    let case = json!({"script": ["x"], "job": {"steps": null}, "download": {"a": "b"}, "interval": 2});
    bench.sim(Method::POST, "jobs", Some(case)).await;
    let held = {
        let runner = bench.any_runner().await;
        runner.run("failed").await;
        let job = runner.take().await;
        assert_eq!(job.patch(0, "hello\n").await.status, 202);
        assert_eq!(job.patch(9, "gap").await.status, 416);
        Held::of(&runner, &job)
    };
    bench.sim(Method::GET, "deliveries?wait_s=30", None).await;
    let before = everything(&bench).await;
    bench.stop(Stop::Asked).await;
    bench.start_again().await;
    assert_eq!(everything(&bench).await, before);
    assert!(!bench.dir.path().join("state/world.json").exists(), "it is used once");

    let job = held.job(&bench);
    let refused = job.patch(5, "world").await;
    assert_eq!((refused.status, refused.header("range")), (416, Some("0-6")));
    let limited = job.patch(6, "world\n").await;
    assert_eq!(limited.status, 429, "the third of this minute was before the restart");
    bench.settings(json!({"trace_per_min": 0})).await;
    assert_eq!(job.patch(6, "world\n").await.header("range"), Some("0-12"));
    let sum = format!("crc32:{:08x}", crc32fast::hash(b"hello\nworld\n"));
    let ended = job.put(json!({"state": "success", "output": {"checksum": sum, "bytesize": 12}})).await;
    assert_eq!((ended.status, ended.header("job-status")), (200, Some("success")));
    assert_eq!(std::fs::read(job.see().await["log"].as_str().unwrap()).unwrap(), b"hello\nworld\n");
    let runner = held.runner(&bench);
    assert_eq!(runner.take().await.body["steps"], Value::Null, "the case's own keys are kept");
    assert_eq!(runner.ask().await.status, 204);
    assert_eq!(bench.job(pipeline, "two").await["status"], "skipped");
    assert_eq!(bench.violations().await, ["range_gap"]);
    let next = bench.pipeline(project).await;
    assert!(next > pipeline && runner.take().await.id > job.id, "numbers go on");
}

#[tokio::test]
async fn an_offer_that_expired_meanwhile_is_withdrawn_at_the_start() {
    let mut bench = Bench::start().await;
    bench.settings(json!({"two_phase": true, "two_phase_s": 1.0})).await;
    let project = bench.project("acme/widget", "job:\n  script: [echo]\n").await;
    bench.pipeline(project).await;
    let (held, until) = {
        let runner = bench.any_runner().await;
        let job = runner.take().await;
        let picked_up = job.see().await["t"]["picked_up"].as_u64().unwrap();
        (Held::of(&runner, &job), std::time::UNIX_EPOCH + std::time::Duration::from_millis(picked_up + 1001))
    };
    bench.stop(Stop::Asked).await;
    let rest = until.duration_since(std::time::SystemTime::now()).unwrap_or_default();
    tokio::time::sleep(rest).await;
    bench.start_again().await;
    assert_eq!(held.job(&bench).put(json!({"state": "running"})).await.status, 400);
    let again = held.runner(&bench).take().await;
    assert_eq!((again.id, again.token == held.job.1), (held.job.0, false));
}

#[tokio::test]
async fn what_was_kept_back_stays_so_and_what_was_under_way_is_sent_once_more() {
    let mut bench = Bench::start().await;
    let receiver = Receiver::start().await;
    let project = bench.project("acme/widget", "job:\n  script: [echo]\n").await;
    bench.sim(Method::POST, "hooks", Some(json!({"project": project, "url": receiver.url}))).await;
    receiver.hang(true);
    bench.sim(Method::POST, "faults", Some(json!({"hooks": {"created_after_pending": true}}))).await;
    bench.pipeline(project).await;
    receiver.count(1).await;
    bench.stop(Stop::Asked).await;
    receiver.hang(false);
    bench.start_again().await;
    let deliveries = bench.sim(Method::GET, "deliveries?wait_s=30", None).await;
    assert!(deliveries.as_array().unwrap().iter().all(|delivery| delivery["state"] == "done"), "{deliveries}");
    let messages = receiver.messages();
    let states: Vec<String> = messages.iter().map(|message| message.status()).collect();
    assert_eq!(states, ["pending", "pending", "created"]);
    assert_eq!(messages[0].header("webhook-id"), messages[1].header("webhook-id"));
}

#[tokio::test]
async fn tls_clients_trust_it_after_a_restart() {
    let mut bench = Bench::start_with(true).await;
    bench.stop(Stop::Asked).await;
    bench.start_again().await;
    assert_eq!(bench.user(Method::GET, "version", None).await.status, 200);
}

#[tokio::test]
async fn without_an_orderly_end_the_next_start_is_empty() {
    let mut bench = Bench::start().await;
    bench.project("acme/widget", "job:\n  script: [echo]\n").await;
    bench.stop(Stop::Orphaned).await;
    let simulator = bench.simulator().await.unwrap();
    assert_ne!(simulator.admin_token(), bench.admin);
}

#[tokio::test]
async fn a_world_that_cannot_be_gone_on_with_ends_the_start_with_file_and_cure() {
    let mut bench = Bench::start().await;
    let project = bench.project("acme/widget", "job:\n  script: [echo]\n").await;
    bench.pipeline(project).await;
    let log = {
        let job = bench.any_runner().await.take().await;
        job.patch(0, "hello\n").await;
        job.see().await["log"].as_str().unwrap().to_owned()
    };
    bench.stop(Stop::Asked).await;
    let file = bench.dir.path().join("state/world.json");
    let good = std::fs::read_to_string(&file).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&file).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600, "it holds tokens");
    let newer = good.replacen("\"v\":1", "\"v\":2", 1);
    for (text, word) in [("", "not the world"), ("{\"v\":1}", "not the world"), (newer.as_str(), "format 2")] {
        std::fs::write(&file, text).unwrap();
        refused(&bench, &file, word).await;
    }
    std::fs::write(&file, &good).unwrap();
    std::fs::write(&log, "hel").unwrap();
    refused(&bench, &file, "does not fit its logs").await;
    std::fs::write(&log, "hello\nand more").unwrap();
    bench.start_again().await;
    assert_eq!(std::fs::read_to_string(&log).unwrap(), "hello\n", "what was never acknowledged is dropped");
}

async fn refused(bench: &Bench, file: &std::path::Path, word: &str) {
    let error = bench.simulator().await.unwrap_err();
    assert!(matches!(error, StartError::Saved(_)), "{error:?}");
    let text = error.to_string();
    assert!(text.contains(file.to_str().unwrap()) && text.contains(word) && text.contains("remove the file"), "{text}");
    assert!(file.exists(), "a start that fails takes nothing away");
}
