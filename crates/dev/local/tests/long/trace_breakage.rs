//! A job's log over a network and a GitLab that break. The outcome is the same in every case and was stated before:
//!
//! | what breaks | what is stored | the job | what GitLab would not forgive |
//! |---|---|---|---|
//! | every third answer to a part of the log is lost, and every other one to an update | byte for byte what an undisturbed run stores | success | nothing |
//! | GitLab restarts in the middle, twice | the same | success | nothing |
//! | answers break off, requests break off after some bytes | the same | success | nothing |
//! | bursts of 502, 503 and 429, before and after the part was stored; 409, 429 and 503 on the final update | the same | success | nothing |
//!
//! The log is some hundred kilobytes over several seconds. What differs between any two runs is left out: the seconds in
//! section markers, the job's id, the work folder.

use std::time::Duration;

use hyper::Method;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::support::{GitLab, Runner, comparable};

/// About 400 KB.
const SCRIPT: &str = "for block in $(seq 1 60); do\n  for line in $(seq 1 70); do\n    \
                      echo \"block $block line $line: the quick brown fox jumps over the lazy dog, sn\u{f6}wman \u{2603}\"\n  \
                      done\n  sleep \"$PAUSE\"\ndone";
/// How long the breaking takes at least, in blocks: the job's last part must not be its first.
const LEAST: u64 = 300_000;

/// The job, with so many seconds between its blocks.
fn case(pause: &str) -> Value {
    json!({
        "script": [SCRIPT, "echo the end"],
        "after_script": ["echo after $CI_JOB_STATUS"],
        "variables": {"GIT_STRATEGY": "none", "FF_TIMESTAMPS": "false", "PAUSE": pause},
        "interval": 1,
    })
}

/// A GitLab with two-phase commit, a runner, and the log of an undisturbed run.
async fn desk() -> (GitLab, Runner, String) {
    let gitlab = GitLab::start().await;
    gitlab.sim(Method::POST, "settings", json!({"two_phase": true})).await;
    let runner = gitlab.runner().await;
    let job = start(&gitlab, "0").await;
    runner.run().await;
    let log = comparable(&gitlab.log(job).await, job, &runner.work);
    assert!(log.len() as u64 > LEAST && log.ends_with("Job succeeded\u{1b}[0;m\n"), "{} bytes", log.len());
    (gitlab, runner, log)
}

async fn start(gitlab: &GitLab, pause: &str) -> u64 {
    gitlab.sim(Method::POST, "jobs", case(pause)).await["job"].as_u64().unwrap()
}

async fn ended_well(gitlab: &GitLab, job: u64, runner: &Runner, expected: &str) {
    let seen = gitlab.job(job).await;
    assert_eq!((&seen["status"], &seen["reported"]["state"]), (&json!("success"), &json!("success")), "{seen}");
    let log = comparable(&gitlab.log(job).await, job, &runner.work);
    let same = log.bytes().zip(expected.bytes()).take_while(|(got, wanted)| got == wanted).count();
    assert!(log == expected, "{} bytes instead of {}, the same up to {same}", log.len(), expected.len());
    assert_eq!(gitlab.violations().await, json!([]));
}

/// Runs the job under faults; each must have been met so often that it broke something.
async fn under(pause: &str, faults: &[Value], met: &[u64]) {
    let (gitlab, runner, expected) = desk().await;
    for fault in faults {
        gitlab.fault(fault.clone()).await;
    }
    let job = start(&gitlab, pause).await;
    runner.run().await;
    for (at, least) in met.iter().enumerate() {
        let seen = gitlab.seen(at).await;
        assert!(seen >= *least, "fault {at} met {seen} requests, fewer than {least}");
    }
    ended_well(&gitlab, job, &runner, &expected).await;
}

fn patch(deed: &str, every: u64) -> Value {
    json!({"match": {"method": "PATCH", "path": "jobs/*/trace"}, "every": every, "do": deed})
}

/// The cases wait for nearly all of their time, and so are played side by side.
#[tokio::test]
async fn whatever_breaks_the_log_is_stored_byte_for_byte() {
    let cases = [
        ("every third answer is lost", tokio::spawn(every_third_answer_is_lost())),
        ("answers break off", tokio::spawn(answers_break_off())),
        ("requests break off", tokio::spawn(requests_break_off())),
        ("GitLab is overloaded in bursts", tokio::spawn(gitlab_is_overloaded_in_bursts())),
        ("GitLab restarts in the middle", tokio::spawn(gitlab_restarts_in_the_middle())),
        ("GitLab restarts before it hears of the end", tokio::spawn(gitlab_restarts_before_it_hears_of_the_end())),
    ];
    let mut broken = Vec::new();
    for (name, case) in cases {
        if let Err(error) = case.await {
            broken.push(format!("{name}: {error}"));
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

async fn every_third_answer_is_lost() {
    // Of the updates the first is lost (the acceptance), and the third (the end).
    let put = json!({"match": {"method": "PUT", "path": "jobs/*"}, "nth": 1, "every": 2, "do": "lose_answer"});
    under("0.1", &[patch("lose_answer", 3), put], &[6, 4]).await;
}

async fn answers_break_off() {
    let put = json!({"match": {"method": "PUT", "path": "jobs/*"}, "nth": 2, "do": "disconnect_after:1"});
    under("0.1", &[patch("disconnect_after:0", 2), put], &[4, 3]).await;
}

async fn requests_break_off() {
    let put = json!({"match": {"method": "PUT", "path": "jobs/*"}, "nth": 2, "times": 2, "do": "cut_request:20"});
    under("0.1", &[patch("cut_request:5000", 2), put], &[4, 4]).await;
}

async fn gitlab_is_overloaded_in_bursts() {
    let burst = |nth: u64, times: u64, deed: &str, headers: Value| json!({"match": {"method": "PATCH", "path": "jobs/*/trace"}, "nth": nth, "times": times, "do": deed, "headers": headers});
    let end = |nth: u64, deed: &str, headers: Value| json!({"match": {"method": "PUT", "path": "jobs/*"}, "nth": nth, "do": deed, "headers": headers});
    under(
        "0.15",
        &[
            burst(1, 2, "status:502", json!({})),
            burst(4, 1, "status:503", json!({"Retry-After": "1"})),
            burst(6, 1, "status:429", json!({"Retry-After": "1"})),
            // Stored, and answered by a proxy that did not wait.
            burst(8, 2, "done_status:502", json!({})),
            burst(11, 2, "status:429", json!({"Retry-After": "0"})),
            end(2, "status:409", json!({})),
            end(3, "status:429", json!({"Retry-After": "1"})),
            end(4, "status:503", json!({})),
        ],
        &[13, 13, 13, 13, 13, 5, 5, 5],
    )
    .await;
}

async fn gitlab_restarts_in_the_middle() {
    let (mut gitlab, runner, expected) = desk().await;
    let job = start(&gitlab, "0.1").await;
    let running = runner.spawn();
    for part in [LEAST / 6, LEAST / 2] {
        gitlab.has_stored(job, part).await;
        gitlab.stop().await;
        // The time without GitLab is part of the case.
        sleep(Duration::from_millis(1500)).await;
        gitlab.start_again().await;
        assert!(gitlab.job(job).await["log_bytes"].as_u64().unwrap() >= part, "what was stored is stored");
        assert_eq!(gitlab.job(job).await["status"], "running");
    }
    running.ended().await;
    ended_well(&gitlab, job, &runner, &expected).await;
}

async fn gitlab_restarts_before_it_hears_of_the_end() {
    let (mut gitlab, runner, expected) = desk().await;
    let job = start(&gitlab, "0.02").await;
    // The end is heard and its answer lost; the runner says it again, to a GitLab that is overloaded, and then is gone.
    for (nth, times, deed) in [(2, 1, "lose_answer"), (3, 4, "status:503")] {
        let rule = json!({"match": {"method": "PUT", "path": "jobs/*"}, "nth": nth, "times": times, "do": deed});
        gitlab.fault(rule).await;
    }
    let running = runner.spawn();
    gitlab.sim(Method::GET, &format!("jobs/{job}?wait_s=100"), Value::Null).await;
    gitlab.stop().await;
    sleep(Duration::from_millis(1000)).await;
    gitlab.start_again().await;
    running.ended().await;
    ended_well(&gitlab, job, &runner, &expected).await;
}
