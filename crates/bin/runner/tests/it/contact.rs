//! What the runner says to GitLab, and what it does when GitLab does not answer as usual.

use std::process::{Command, Stdio};

use crate::support::coordinator::{Answer, Request, status};
use crate::support::{Desk, RUNNER_TOKEN, job};
use serde_json::json;

fn patches(requests: &[Request]) -> Vec<&Request> {
    requests.iter().filter(|request| request.method == "PATCH").collect()
}

#[test]
fn the_request_names_what_is_implemented_and_nothing_more() {
    let desk = Desk::new(None);
    assert_eq!(desk.run().code, Some(5), "no job");
    let request = &desk.coordinator.requests()[0];
    let body = request.json();
    assert_eq!((&body["token"], &body["system_id"]), (&json!(RUNNER_TOKEN), &json!("r_testtesttest")));
    let features = &body["info"]["features"];
    for on in [
        "two_phase_job_commit",
        "refspecs",
        "cancel_gracefully",
        "return_exit_code",
        "trace_checksum",
        "artifacts",
        "upload_multiple_artifacts",
        "upload_raw_artifacts",
        "artifacts_exclude",
        "cache",
        "fallback_cache_keys",
    ] {
        assert_eq!(features[on], true, "{on}");
    }
    for off in ["vault_secrets", "native_steps_integration", "session", "job_inputs"] {
        assert_ne!(features[off], true, "{off}");
    }
    assert!(body.get("last_update").is_none(), "the request must not be parked");
    assert!(request.body.len() < 4096);
}

#[test]
fn exit_codes_tell_what_went_wrong() {
    for (answer, code) in
        [(status(403), 3), (status(422), 3), (status(500), 4), (status(429), 4), (status(409), 5), (status(404), 4)]
    {
        let desk = Desk::new(None);
        desk.coordinator.fault("POST", [answer.clone()]);
        let done = desk.run();
        assert_eq!(done.code, Some(code), "{answer:?}: {}", done.stderr);
        assert_eq!(desk.coordinator.requests().len(), 1, "no hidden repetition: {answer:?}");
    }
    let mut desk = Desk::new(None);
    desk.coordinator.url = "http://127.0.0.1:9".to_owned();
    assert_eq!(desk.run().code, Some(4));
}

#[test]
fn it_says_its_version() {
    let output = Command::new(env!("CARGO_BIN_EXE_runnerless-runner")).arg("--version").output().unwrap();
    assert!(output.status.success());
    assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("runnerless-runner {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_bad_command_line_or_file_is_usage() {
    let desk = Desk::new(None);
    std::fs::write(desk.folder.path().join("token"), "  \n").unwrap();
    assert_eq!(desk.run().code, Some(2));
    assert!(desk.coordinator.requests().is_empty());
}

#[test]
fn a_job_that_cannot_be_accepted_is_given_back() {
    for refusal in [400, 403, 409] {
        let desk = Desk::new(Some(job(&["echo must-not-run"])));
        desk.coordinator.fault("PUT", [status(refusal)]);
        let done = desk.run();
        assert_eq!(done.code, Some(5), "{}", done.stderr);
        assert!(done.log.is_empty(), "no line of the job runs");
        assert_eq!(done.puts.len(), 2);
        assert_eq!(
            (&done.last()["state"], &done.last()["failure_reason"]),
            (&json!("failed"), &json!("runner_system_failure"))
        );
    }
}

#[test]
fn a_job_that_had_ended_before_it_was_accepted_does_not_run() {
    for ended in ["canceled", "failed", "success"] {
        let desk = Desk::new(Some(job(&["echo must-not-run"])));
        desk.coordinator.fault("PUT", [Answer::Status(200, vec![("Job-Status", ended.to_owned())])]);
        let done = desk.run();
        assert_eq!(done.code, Some(5), "{}", done.stderr);
        assert!(done.log.is_empty(), "no line of the job runs");
    }
}

#[test]
fn acceptance_is_repeated_while_the_answer_is_open() {
    let desk = Desk::new(Some(job(&["echo first"])));
    desk.coordinator.fault("PUT", [status(502), Answer::Lost, status(503)]);
    let done = desk.run();
    assert_eq!(done.last()["state"], "success", "{}", done.stderr);
    assert_eq!(done.puts.iter().filter(|put| put["state"] == "running").count(), 4);
}

#[test]
fn the_first_part_of_the_log_comes_as_soon_as_the_script_speaks() {
    let folder = tempfile::tempdir().unwrap();
    let go = folder.path().join("go");
    let desk = Desk::new(Some(job(&[
        "echo first",
        &format!("until [ -e {} ]; do sleep 0.05; done", go.display()),
        "echo second",
    ])));
    // Were the first part sent after an interval only, it would come in a minute.
    desk.coordinator.set_interval(60);
    let child = desk.spawn();
    desk.coordinator.wait_for(|_, log| String::from_utf8_lossy(log).contains("first"));
    std::fs::write(&go, "").unwrap();
    let done = desk.finished(&child.wait_with_output().unwrap());
    assert!(done.text().contains("second"));
    assert_eq!(patches(&desk.coordinator.requests()).len(), 2, "one when it speaks, one at the end");
}

#[test]
fn the_log_survives_lost_answers_refusals_and_rewinds() {
    let desk = Desk::new(Some(job(&["echo first", "sleep 1.2", "echo second", "sleep 1.2", "echo third"])));
    desk.coordinator.fault(
        "PATCH",
        [status(502), Answer::Lost, status(429), Answer::Status(416, vec![("Range", "0-100".to_owned())])],
    );
    let done = desk.run();
    assert_eq!(done.last()["state"], "success", "{}", done.stderr);
    let text = done.text();
    for line in ["\nfirst\n", "\nsecond\n", "\nthird\n"] {
        assert_eq!(text.matches(line).count(), 1, "{text}");
    }
    assert_eq!(done.last()["output"]["bytesize"], done.log.len());
}

#[test]
fn ranges_are_inclusive_contiguous_and_of_bytes() {
    let desk = Desk::new(Some(job(&["echo snow \u{2603}", "sleep 1.2", "echo more"])));
    desk.run();
    let mut next = 0;
    for patch in patches(&desk.coordinator.requests()) {
        let (start, end) = patch.headers["content-range"].split_once('-').unwrap();
        let (start, end): (usize, usize) = (start.parse().unwrap(), end.parse().unwrap());
        assert_eq!((start, end - start + 1), (next, patch.body.len()));
        assert_eq!(patch.headers["content-type"], "text/plain");
        next = end + 1;
    }
}

#[test]
fn the_final_update_is_repeated_until_gitlab_has_stored_the_log() {
    let desk = Desk::new(Some(job(&["echo first"])));
    let not_yet = || Answer::Status(202, vec![("X-GitLab-Trace-Update-Interval", "1".to_owned())]);
    desk.coordinator.fault("PUT", [status(200), not_yet(), status(500), not_yet()]);
    let done = desk.run();
    assert_eq!(done.code, Some(0));
    assert_eq!(done.puts.iter().filter(|put| put["state"] == "success").count(), 4);
}

#[test]
fn a_damaged_log_is_sent_again_from_the_start() {
    let desk = Desk::new(Some(job(&["echo first"])));
    desk.coordinator.fault("PUT", [status(200), status(412)]);
    let done = desk.run();
    assert_eq!(done.code, Some(0));
    let requests = desk.coordinator.requests();
    let after = requests.iter().position(|request| request.status == 412).unwrap();
    let again = requests[after..].iter().find(|request| request.method == "PATCH").expect("the log is sent again");
    assert!(again.headers["content-range"].starts_with("0-"));
}

#[test]
fn a_lost_answer_to_the_end_counts_as_reported() {
    let desk = Desk::new(Some(job(&["echo first"])));
    let over = Answer::Status(403, vec![("Job-Status", "success".to_owned())]);
    desk.coordinator.fault("PUT", [status(200), Answer::Lost, over]);
    assert_eq!(desk.run().code, Some(0));
}

#[test]
fn an_end_that_gitlab_does_not_take_is_said() {
    let desk = Desk::new(Some(job(&["echo first"])));
    desk.coordinator.fault("PUT", [status(200), status(404)]);
    let done = desk.run();
    assert_eq!(done.code, Some(6), "{}", done.stderr);
    assert!(done.stderr.contains("not reported"));
}

#[test]
fn a_signal_ends_the_job_with_a_report() {
    for (signal, code) in [("TERM", 143), ("INT", 130), ("HUP", 129)] {
        let desk = Desk::new(Some(job(&["echo first", "sleep 600"])));
        let child = desk.spawn();
        desk.coordinator.wait_for(|_, log| String::from_utf8_lossy(log).contains("first"));
        send(signal, child.id());
        let done = desk.finished(&child.wait_with_output().unwrap());
        assert_eq!(done.code, Some(code), "{}", done.stderr);
        assert_eq!(
            (&done.last()["state"], &done.last()["failure_reason"]),
            (&json!("failed"), &json!("runner_system_failure"))
        );
    }
}

#[test]
fn a_job_goes_on_without_its_terminal_where_hanging_up_is_ignored() {
    let desk = Desk::new(None);
    let go = desk.folder.path().join("go");
    desk.coordinator.add_job(job(&["echo first", &format!("until [ -e {} ]; do sleep 0.05; done", go.display())]));
    let once = desk.command();
    let mut nohup = Command::new("sh");
    nohup.args(["-c", "trap '' HUP; exec \"$0\" \"$@\""]).arg(once.get_program()).args(once.get_args()).env_clear();
    nohup.envs(once.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let child = nohup.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    desk.coordinator.wait_for(|_, log| String::from_utf8_lossy(log).contains("first"));
    send("HUP", child.id());
    std::fs::write(go, "").unwrap();
    let done = desk.finished(&child.wait_with_output().unwrap());
    assert_eq!((done.code, &done.last()["state"]), (Some(0), &json!("success")), "{}", done.stderr);
}

fn send(signal: &str, process: u32) {
    assert!(Command::new("kill").args([&format!("-{signal}"), &process.to_string()]).status().unwrap().success());
}

#[test]
fn a_second_runner_in_one_work_folder_is_refused() {
    let desk = Desk::new(Some(job(&["echo first", "sleep 600"])));
    let child = desk.spawn();
    desk.coordinator.wait_for(|_, log| String::from_utf8_lossy(log).contains("first"));
    let second = desk.command().output().unwrap();
    assert_eq!(second.status.code(), Some(2));
    Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(143));
}
