//! The log: pieces that fit, pieces that do not, and its sum at the end.

use serde_json::json;

use crate::bench::{Bench, Runner};

const ONE: &str = "job:\n  script: [echo hi]\n";

async fn runner(bench: &Bench) -> Runner<'_> {
    let project = bench.project("acme/widget", ONE).await;
    bench.pipeline(project).await;
    bench.any_runner().await
}

#[tokio::test]
async fn a_piece_that_does_not_continue_the_log_is_answered_with_what_is_stored() {
    let bench = Bench::start().await;
    let job = runner(&bench).await.take().await;
    assert_eq!(job.patch(0, "hello").await.status, 202);
    for start in [7, 0] {
        let refused = job.patch(start, "world").await;
        assert_eq!((refused.status, refused.header("range")), (416, Some("0-5")), "{start}");
        assert_eq!(refused.header("job-status"), Some("running"));
    }
    let wrong_end = [("Content-Type", "text/plain"), ("Content-Range", "5-20")];
    assert_eq!(job.patch_with("world", &wrong_end).await.status, 416);
    assert_eq!(job.patch(5, "world").await.header("range"), Some("0-10"));
    assert_eq!(bench.violations().await, ["range_gap", "range_end"]);
}

#[tokio::test]
async fn both_headers_are_asked_for() {
    let bench = Bench::start().await;
    let job = runner(&bench).await.take().await;
    assert_eq!(job.patch_with("x", &[("Content-Range", "0-0")]).await.status, 400);
    let json = [("Content-Type", "application/json"), ("Content-Range", "0-0")];
    assert_eq!(job.patch_with("x", &json).await.status, 400);
    assert_eq!(job.patch_with("x", &[("Content-Type", "text/plain")]).await.status, 400);
    let unit = [("Content-Type", "text/plain"), ("Content-Range", "bytes 0-0/1")];
    assert_eq!(job.patch_with("x", &unit).await.status, 400);
    let expected = ["content_type", "content_type", "content_range", "content_range"];
    assert_eq!(bench.violations().await, expected);
    assert_eq!(job.see().await["log_bytes"], 0);
}

#[tokio::test]
async fn a_wrong_sum_is_noted_and_the_job_ends_all_the_same() {
    let bench = Bench::start().await;
    let job = runner(&bench).await.take().await;
    assert_eq!(job.patch(0, "hello\n").await.status, 202);
    let report = json!({"state": "success", "output": {"checksum": "crc32:00000000", "bytesize": 6}});
    assert_eq!(job.put(report).await.status, 200);
    assert_eq!(bench.violations().await, ["checksum"]);
}

#[tokio::test]
async fn a_runner_that_counts_its_log_must_say_so_at_the_end() {
    let bench = Bench::start().await;
    let mut runner = runner(&bench).await;
    runner.features = json!({"trace_checksum": true, "trace_size": true});
    let job = runner.take().await;
    assert_eq!(job.end("success").await.status, 200);
    assert_eq!(bench.violations().await, ["no_checksum"]);
}

#[tokio::test]
async fn a_wrong_size_is_noted_too() {
    let bench = Bench::start().await;
    let job = runner(&bench).await.take().await;
    assert_eq!(job.patch(0, "hello\n").await.status, 202);
    let report = json!({"state": "success", "output": {"checksum": "crc32:363a3020", "bytesize": 7}});
    assert_eq!(job.put(report).await.status, 200);
    assert_eq!(bench.violations().await, ["checksum"]);
}

#[tokio::test]
async fn a_wrong_sum_can_ask_for_the_log_again() {
    let bench = Bench::start().await;
    bench.settings(json!({"bad_checksum": "412"})).await;
    let job = runner(&bench).await.take().await;
    assert_eq!(job.patch(0, "hello\n").await.status, 202);
    let report = |sum: &str| json!({"state": "success", "output": {"checksum": sum, "bytesize": 6}});
    assert_eq!(job.put(report("crc32:00000000")).await.status, 412);
    assert_eq!(job.see().await["status"], "running");
    assert_eq!(job.put(report("crc32:363a3020")).await.status, 200);
}

#[tokio::test]
async fn a_log_beyond_the_limit_fails_the_job() {
    let bench = Bench::start().await;
    bench.settings(json!({"trace_limit_bytes": 8})).await;
    let job = runner(&bench).await.take().await;
    assert_eq!(job.patch(0, "12345678").await.status, 202);
    let refused = job.patch(8, "9").await;
    assert_eq!((refused.status, refused.header("job-status")), (403, Some("failed")));
    assert_eq!(job.see().await["failure_reason"], "trace_size_exceeded");
}

#[tokio::test]
async fn too_many_patches_are_429() {
    let bench = Bench::start().await;
    bench.settings(json!({"trace_per_min": 2})).await;
    let job = runner(&bench).await.take().await;
    assert_eq!(job.patch(0, "a").await.status, 202);
    assert_eq!(job.patch(1, "b").await.status, 202);
    let refused = job.patch(2, "c").await;
    assert_eq!(refused.status, 429);
    assert!(refused.header("retry-after").is_some());
}

#[tokio::test]
async fn a_secret_in_the_log_is_noted() {
    let bench = Bench::start().await;
    let job = runner(&bench).await.take().await;
    let log = format!("token {}\n", job.token);
    assert_eq!(job.patch(0, &log).await.status, 202);
    assert_eq!(job.end("success").await.status, 200);
    assert_eq!(bench.violations().await, ["secret_in_log"]);
}
