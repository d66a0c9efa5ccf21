//! Jobs of every kind through the real command, a real bash, and a coordinator on 127.0.0.1.

use crate::support::coordinator::Answer;
use crate::support::{Desk, JOB_TOKEN, after_script, job, run, variable};
use serde_json::json;

#[test]
fn an_echo_job_succeeds_with_log_checksum_and_sections() {
    let desk = Desk::new(Some(job(&["echo first", "echo to-stderr >&2", "for i in 1 2; do\n  echo loop $i\ndone"])));
    let done = desk.run();
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let text = done.text();
    for line in [
        "$ echo first\nfirst\n",
        "loop 1\nloop 2\n",
        "$ for i in 1 2; do # collapsed multi-line command\n",
        "Job succeeded\n",
    ] {
        assert!(text.contains(line), "{line:?} in {text}");
    }
    assert!(done.log.contains(" 01E to-stderr\n") && done.log.contains(" 00O "), "{}", done.log);
    assert_eq!(
        done.sections(),
        ["prepare_executor", "prepare_script", "get_sources", "step_script", "cleanup_file_variables"]
    );
    assert_eq!(done.puts[0]["state"], "running", "accepted first");
    let last = done.last();
    assert_eq!((&last["state"], &last["exit_code"]), (&json!("success"), &json!(null)));
    assert_eq!(last["output"]["bytesize"], done.log.len());
    assert_eq!(last["output"]["checksum"], format!("crc32:{:08x}", crc32(done.log.as_bytes())));
}

/// CRC32 (IEEE), bit by bit: not the implementation that is tested.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 })
    };
    !bytes.iter().fold(!0, step)
}

#[test]
fn a_failing_command_ends_the_script_and_after_script_runs() {
    let mut job = job(&["echo first", "sh -c 'exit 42'", "echo never"]);
    after_script(&mut job, &["echo after $CI_JOB_STATUS"]);
    let done = run(job);
    assert_eq!(done.code, Some(0), "a failed job that was reported is a good run");
    let last = done.last();
    assert_eq!(
        (&last["state"], &last["failure_reason"], &last["exit_code"]),
        (&json!("failed"), &json!("script_failure"), &json!(42))
    );
    let text = done.text();
    assert!(text.contains("after failed\n") && text.contains("ERROR: Job failed: exit status 42\n"), "{text}");
    assert!(!text.contains("\nnever\n"));
}

#[test]
fn nothing_of_the_runners_environment_reaches_the_job() {
    let desk = Desk::new(Some(job(&["env | sort | sed 's/^/E:/'"])));
    let done = desk.run();
    let text = done.text();
    assert!(!text.contains("LEAKED_FROM_RUNNER") && !text.contains("must-not-be-seen"), "{text}");
    let work = desk.work();
    for (key, inside) in [("HOME", true), ("TMPDIR", true), ("CI_PROJECT_DIR", true)] {
        let line =
            text.lines().find(|line| line.starts_with(&format!("E:{key}="))).unwrap_or_else(|| panic!("{key}: {text}"));
        assert_eq!(line.contains(work.to_str().unwrap()), inside, "{line}");
    }
    for fixed in ["E:CI_SERVER=yes", "E:CI_JOB_STATUS=running", "E:CI_SHARED_ENVIRONMENT=true", "E:CI_JOB_ID=190001"] {
        assert!(text.contains(fixed), "{fixed}");
    }
}

#[test]
fn variables_masked_file_raw_and_referring() {
    let mut job =
        job(&["echo $TOKENISH", "cat $CONF", "echo \"$RAWV|$REF\"", "echo glpat-0123456789", "echo $CI_JOB_TOKEN"]);
    job["variables"].as_array_mut().unwrap().extend([
        json!({"key": "TOKENISH", "value": "hush-hush-42", "masked": true}),
        json!({"key": "CONF", "value": "key: value\n", "file": true}),
        json!({"key": "RAWV", "value": "$CI_JOB_ID stays", "raw": true}),
        json!({"key": "REF", "value": "job $CI_JOB_ID"}),
        json!({"key": "CI_JOB_TOKEN", "value": JOB_TOKEN, "masked": true}),
    ]);
    let text = run(job).text();
    assert!(text.contains("key: value\n") && text.contains("$CI_JOB_ID stays|job 190001\n"), "{text}");
    assert!(text.contains("\nglpat-[MASKED]\n"), "{text}");
    assert!(!text.contains("hush-hush") && !text.contains(JOB_TOKEN) && !text.contains("0123456789\n"), "{text}");
}

#[test]
fn gitlab_env_carries_over_and_the_shell_does_not() {
    let mut job = job(&["LOCAL=x; export LOCAL", "echo PASSED=on >> $GITLAB_ENV"]);
    after_script(&mut job, &["echo got $PASSED/$LOCAL."]);
    assert!(run(job).text().contains("got on/.\n"));
}

#[test]
fn a_release_step_runs_after_the_script_with_its_variables_filled_in() {
    let mut job = job(&["echo first"]);
    job["steps"].as_array_mut().unwrap().push(json!({"name": "release", "script": ["echo release of $CI_JOB_ID"]}));
    let done = run(job);
    assert!(done.text().contains("$ echo release of 190001\nrelease of 190001\n"), "{}", done.text());
    assert!(done.sections().contains(&"step_release".to_owned()));
}

#[test]
fn the_job_timeout_ends_everything_and_after_script_is_skipped() {
    let mut job = job(&["echo first", "sleep 600"]);
    after_script(&mut job, &["echo not-run"]);
    job["runner_info"]["timeout"] = json!(1);
    let done = run(job);
    assert_eq!(done.last()["failure_reason"], "job_execution_timeout");
    let text = done.text();
    assert!(text.contains("execution took longer than 1s") && !text.contains("not-run"), "{text}");
    assert!(!done.sections().contains(&"after_script".to_owned()));
}

#[test]
fn the_script_timeout_lets_after_script_run() {
    let mut job = job(&["echo first", "sleep 600"]);
    after_script(&mut job, &["echo after $CI_JOB_STATUS"]);
    variable(&mut job, "RUNNER_SCRIPT_TIMEOUT", "300ms");
    let done = run(job);
    assert_eq!(done.last()["failure_reason"], "job_execution_timeout");
    assert!(done.text().contains("after timedout\n"), "{}", done.text());
}

#[test]
fn the_after_script_timeout_changes_nothing_unless_it_shall() {
    for (ignore, state) in [("true", "success"), ("false", "failed")] {
        let mut job = job(&["echo first"]);
        after_script(&mut job, &["sleep 600"]);
        variable(&mut job, "RUNNER_AFTER_SCRIPT_TIMEOUT", "200ms");
        variable(&mut job, "AFTER_SCRIPT_IGNORE_ERRORS", ignore);
        assert_eq!(run(job).last()["state"], state, "{ignore}");
    }
}

#[test]
fn a_cancel_stops_the_script_and_runs_after_script() {
    let mut job = job(&["echo first", "sleep 600"]);
    after_script(&mut job, &["echo after $CI_JOB_STATUS"]);
    let desk = Desk::new(Some(job));
    desk.coordinator.job_status_after("first", "canceling");
    let done = desk.run();
    let text = done.text();
    assert!(text.contains("after canceled\n") && text.contains("ERROR: Job failed: canceled\n"), "{text}");
    assert_eq!((&done.last()["state"], &done.last()["failure_reason"]), (&json!("failed"), &json!("unknown_failure")));
}

#[test]
fn a_job_that_gitlab_ended_is_dropped_without_another_word() {
    for status in ["canceled", "failed"] {
        let mut job = job(&["echo first", "sleep 600"]);
        after_script(&mut job, &["echo not-run"]);
        let desk = Desk::new(Some(job));
        desk.coordinator.job_status_after("first", status);
        let done = desk.run();
        assert_eq!(done.code, Some(0), "{}", done.stderr);
        assert_eq!(done.puts.len(), 1, "only the acceptance: {:?}", done.puts);
        assert!(!done.text().contains("not-run"));
    }
}

#[test]
fn a_forbidden_patch_ends_the_job_at_once() {
    let desk = Desk::new(Some(job(&["echo first", "sleep 600"])));
    desk.coordinator.fault("PATCH", [Answer::Status(403, vec![("Job-Status", "canceled".to_owned())])]);
    let done = desk.run();
    assert_eq!((done.code, done.puts.len()), (Some(0), 1));
}

#[test]
fn a_run_job_is_refused_with_a_sentence() {
    let mut job = job(&[]);
    job["steps"] = json!(null);
    job["run"] = json!("[{\"name\":\"s\",\"script\":\"echo first\"}]");
    let done = run(job);
    assert_eq!(done.last()["failure_reason"], "runner_configuration_error");
    assert!(done.text().contains("`run:`"), "{}", done.text());
    assert_eq!(done.sections(), ["prepare_executor"]);
}

#[test]
fn image_and_services_are_named_in_a_warning() {
    let mut job = job(&["echo first"]);
    job["image"] = json!({"name": "alpine:3"});
    job["services"] = json!([{"name": "redis:7"}]);
    let done = run(job);
    assert_eq!(done.last()["state"], "success");
    assert!(done.text().contains("alpine:3") && done.text().contains("redis:7"), "{}", done.text());
}

#[test]
fn a_body_that_cannot_be_understood_is_reported() {
    let mut job = job(&["echo first"]);
    job["steps"] = json!("everything");
    let done = run(job);
    assert_eq!(
        (&done.last()["state"], &done.last()["failure_reason"]),
        (&json!("failed"), &json!("runner_system_failure"))
    );
    assert!(done.text().contains("cannot be understood"), "{}", done.text());
}

#[test]
fn a_command_that_is_missing_is_said_with_the_cure_and_another_failure_is_not() {
    for (script, said) in [("no-such-command-anywhere --help", true), ("exit 126", false)] {
        let desk = Desk::new(Some(job(&[script])));
        let done = desk.run();
        assert_eq!(done.last()["state"], "failed", "{}", done.text());
        assert_eq!(done.text().contains("Jobs look for commands in /usr/local/sbin:"), said, "{}", done.text());
    }
}

#[test]
fn timestamps_can_be_switched_off() {
    let mut job = job(&["printf 'no end'"]);
    variable(&mut job, "FF_TIMESTAMPS", "false");
    let done = run(job);
    assert!(!done.log.contains(" 01O ") && done.log.contains("\u{1b}[0;m\nno end\n"), "{}", done.log);
}

#[test]
fn what_the_job_left_running_is_ended_and_nothing_else_stays() {
    let marker = tempfile::tempdir().unwrap();
    let pid_file = marker.path().join("pid");
    let script = format!("(setsid sleep 600 >/dev/null 2>&1 & echo $! > {0})\nsleep 0", pid_file.display());
    let desk = Desk::new(Some(job(&[&script, "nohup sleep 600 >/dev/null 2>&1 &"])));
    let done = desk.run();
    assert_eq!(done.last()["state"], "success", "{}", done.text());
    let pid = std::fs::read_to_string(&pid_file).unwrap();
    assert!(!std::path::Path::new("/proc").join(pid.trim()).exists(), "process {pid} is still there");
    assert!(!desk.work().join("jobs/190001").exists());
    let mut left: Vec<_> = std::fs::read_dir(desk.work()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, [".lock", "builds", "jobs"]);
}

#[test]
fn a_script_that_ignores_sigterm_is_killed() {
    let mut job = job(&["trap '' TERM; echo first; while :; do sleep 1; done"]);
    variable(&mut job, "RUNNER_SCRIPT_TIMEOUT", "200ms");
    let done = run(job);
    assert_eq!(done.last()["failure_reason"], "job_execution_timeout");
}

#[test]
fn the_log_stops_at_its_limit() {
    let done = run(job(&["echo first", "head -c 5000000 /dev/zero | tr '\\0' y | fold -w 99"]));
    assert_eq!(done.last()["state"], "success");
    assert!(done.log.ends_with("no more output will be collected.\u{1b}[0;m\n"));
    assert!(done.log.contains("Job's log exceeded limit of 4194304 bytes."));
}
