//! The runner on an instance: from the instance's tags to the end of its launch, and what is left of secrets by then.

use std::fs;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::process::{Child, Command};

use crate::support::cloud::{Instance, NONCE, SECRET_KEY, SESSION_TOKEN};
use crate::support::coordinator::status;
use crate::support::{JOB_TOKEN, RUNNER_TOKEN, job};
use serde_json::{Value, json};

/// A job that says `first`, and goes on when the file is there.
fn waiting(instance: &Instance) -> (Child, std::path::PathBuf) {
    waiting_by(instance, &mut instance.command())
}

fn waiting_by(instance: &Instance, command: &mut Command) -> (Child, std::path::PathBuf) {
    let go = instance.folder.path().join("go");
    let script = format!("until [ -e {} ]; do sleep 0.05; done", go.display());
    instance.coordinator.add_job(job(&["echo first", &script, "echo last"]));
    let child = command.spawn().unwrap();
    instance.coordinator.wait_for(|_, log| String::from_utf8_lossy(log).contains("first"));
    (child, go)
}

fn terminate(pid: u32) {
    assert!(Command::new("kill").args(["-TERM", &pid.to_string()]).status().unwrap().success());
}

#[test]
fn a_launch_from_the_tags_to_its_end() {
    let instance = Instance::new(Some(job(&["echo ran"])));
    let (code, said) = instance.run();
    assert_eq!(code, Some(0), "{said}");
    assert!(instance.log().contains("ran"));
    let begins = instance.cloud.bodies("/claim");
    assert_eq!((begins.len(), &begins[0]["do"], &begins[0]["launch"]), (1, &json!("begin"), &json!("l-1")));
    assert_eq!(begins[0]["claim"].as_str().unwrap().len(), 32);
    assert_eq!(instance.cloud.words(), ["bind", "accepted", "end"]);
    let words = instance.cloud.bodies("/launch");
    assert!(words.iter().all(|word| word["launch"] == "l-1" && word["nonce"] == NONCE));
    assert_eq!(words[0]["job"], json!({"project_id": 380, "job_id": 190_001}));
    assert_eq!((&words[0]["job_token"], &words[0]["beat_ms"]), (&json!(JOB_TOKEN), &json!(60_000)));
    assert_eq!((&words[2]["outcome"], &words[2]["reason"]), (&json!("done"), &json!("success")));
    let asked = instance.coordinator.requests()[0].json();
    assert_eq!((&asked["token"], &asked["system_id"]), (&json!(RUNNER_TOKEN), &json!("r_launch")));
    assert!(!instance.is_off(), "what started it powers off");
}

#[test]
fn the_begin_is_signed_for_the_api_and_shows_no_key() {
    let instance = Instance::new(None);
    instance.run();
    let requests = instance.cloud.requests();
    let begin = requests.iter().find(|request| request.path == "/claim").unwrap();
    let authorization = &begin.headers["authorization"];
    assert!(authorization.starts_with("AWS4-HMAC-SHA256 Credential=ASIAEXAMPLE/"), "{authorization}");
    assert!(authorization.contains("/eu-west-1/execute-api/aws4_request"), "{authorization}");
    assert_eq!(begin.headers["x-amz-security-token"], SESSION_TOKEN);
    assert!(authorization.contains("host;"), "{authorization}");
    for request in &requests {
        assert!(!String::from_utf8_lossy(&request.body).contains(SECRET_KEY), "{}", request.path);
        assert!(!request.headers.values().any(|value| value.contains(SECRET_KEY)), "{}", request.path);
    }
}

#[test]
fn nothing_of_a_job_runs_before_the_metadata_service_is_off() {
    let instance = Instance::new(Some(job(&["echo ran"])));
    assert_eq!(instance.run().0, Some(0));
    let requests = instance.cloud.requests();
    let at = |what: &dyn Fn(&crate::support::coordinator::Request) -> bool| requests.iter().position(what).unwrap();
    let session = at(&|request| request.path == "/latest/api/token" && request.status == 200);
    let refused = at(&|request| request.path == "/latest/api/token" && request.status == 403);
    let old_session = at(&|request| request.path.ends_with("/instance-id") && request.status == 403);
    let bind = at(&|request| request.path == "/launch");
    assert!(session < refused && refused < bind && old_session < bind, "it was on, and was seen to be off");
    let log = instance.coordinator.requests().into_iter().find(|request| request.method == "PATCH").unwrap();
    assert!(requests[bind].at < log.at);
}

#[test]
fn a_job_is_given_back_while_the_metadata_service_answers() {
    let instance = Instance::new(Some(job(&["echo must-not-run"])));
    instance.cloud.keep_metadata_on();
    let (code, said) = instance.run();
    assert_eq!(code, Some(5), "{said}");
    assert!(said.contains("metadata service is still on"), "{said}");
    assert_eq!(instance.cloud.words(), ["give_back"]);
    assert!(instance.log().is_empty());
    let told = instance.coordinator.puts();
    assert_eq!((told.len(), &told[0]["failure_reason"]), (1, &json!("runner_system_failure")));
}

#[test]
fn an_instance_that_is_not_recorded_yet_asks_again_under_the_same_claim() {
    let instance = Instance::new(None);
    let again = || json!({"again": true, "reason": "not recorded yet"});
    instance.cloud.answer("/claim", [(409, again()), (503, again()), (403, json!({"message": "Forbidden"}))]);
    let (code, said) = instance.run();
    assert_eq!(code, Some(5), "{said}");
    let begins = instance.cloud.bodies("/claim");
    assert_eq!(begins.len(), 4);
    assert!(begins.iter().all(|begin| begin["claim"] == begins[0]["claim"]));
    assert_eq!(instance.coordinator.requests().len(), 1, "GitLab is asked after the begin only");
    assert_eq!(instance.cloud.words(), ["end"]);
    assert_eq!(instance.cloud.bodies("/launch")[0]["outcome"], "no_job");
}

#[test]
fn a_launch_that_is_gone_is_left_without_asking_gitlab() {
    let instance = Instance::new(Some(job(&["echo must-not-run"])));
    instance.cloud.answer("/claim", [(410, json!({"gone": true, "reason": "the launch is Closed"}))]);
    let (code, said) = instance.run();
    assert_eq!(code, Some(7), "{said}");
    assert!(said.contains("the launch is Closed"), "{said}");
    assert!(instance.coordinator.requests().is_empty() && instance.cloud.words().is_empty());
}

#[test]
fn a_refused_bind_gives_the_job_back() {
    let instance = Instance::new(Some(job(&["echo must-not-run"])));
    instance
        .cloud
        .answer("/launch", [(503, json!({"again": true})), (409, json!({"ok": false, "refused": "closing"}))]);
    let (code, said) = instance.run();
    assert_eq!(code, Some(5), "{said}");
    assert_eq!(instance.cloud.words(), ["bind", "bind", "give_back"], "giving back ends the launch");
    assert!(instance.log().is_empty());
}

#[test]
fn a_refused_token_and_a_gitlab_that_does_not_answer_end_the_launch_with_their_reason() {
    for (answer, code, outcome) in [(status(403), 3, "failed"), (status(500), 4, "unanswered")] {
        let instance = Instance::new(None);
        instance.coordinator.fault("POST", [answer]);
        let (ended, said) = instance.run();
        assert_eq!(ended, Some(code), "{said}");
        assert_eq!(instance.cloud.words(), ["end"]);
        let end = &instance.cloud.bodies("/launch")[0];
        assert_eq!(end["outcome"], outcome);
        assert!(end["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{end}");
    }
}

#[test]
fn a_launch_that_counts_as_lost_goes_on_with_its_job() {
    let instance = Instance::new(None);
    let ok = || (200, json!({"ok": true}));
    instance.cloud.answer("/launch", [ok(), (409, json!({"ok": false, "refused": "the launch is Closing"}))]);
    let (child, go) = waiting(&instance);
    instance.cloud.wait_for(|requests| requests.iter().any(|request| request.status == 409));
    fs::write(go, "").unwrap();
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(0));
    assert!(instance.log().contains("last"));
    let end = instance.cloud.bodies("/launch").pop().unwrap();
    assert_eq!((&end["do"], &end["outcome"]), (&json!("end"), &json!("done")));
    assert!(end["reason"].as_str().unwrap().contains("counted as lost"), "{end}");
}

#[test]
fn an_end_that_gitlab_does_not_take_is_told_to_the_stack() {
    let instance = Instance::new(Some(job(&["echo ran"])));
    instance.coordinator.fault("PUT", [status(200), status(404)]);
    assert_eq!(instance.run().0, Some(6));
    assert_eq!(instance.cloud.bodies("/launch").pop().unwrap()["outcome"], "untold");
}

#[test]
fn sigterm_ends_the_job_with_a_report_and_the_launch_with_a_reason() {
    let instance = Instance::new(None);
    let (child, _go) = waiting(&instance);
    terminate(child.id());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(143), "{}", String::from_utf8_lossy(&output.stderr));
    let last = instance.coordinator.puts().pop().unwrap();
    assert_eq!((&last["state"], &last["failure_reason"]), (&json!("failed"), &json!("runner_system_failure")));
    let end = instance.cloud.bodies("/launch").pop().unwrap();
    assert_eq!((&end["do"], &end["outcome"]), (&json!("end"), &json!("done")));
    assert!(!instance.is_off());
}

#[test]
fn an_instance_over_its_time_powers_off_whatever_its_runner_does() {
    let instance = Instance::new(Some(job(&["sleep 600"])));
    instance.cloud.expire();
    let (code, said) = instance.run();
    assert_eq!(code, Some(8), "{said}");
    assert!(instance.is_off(), "{said}");
}

#[test]
fn a_job_goes_on_and_an_instance_powers_off_where_nobody_reads_what_is_said() {
    let unread = |instance: &Instance| {
        let (_, console) = std::io::pipe().unwrap();
        let mut command = instance.command();
        command.stderr(console);
        command
    };
    let expired = Instance::new(Some(job(&["sleep 600"])));
    expired.cloud.expire();
    assert_eq!(unread(&expired).status().unwrap().code(), Some(8));
    assert!(expired.is_off());
    let lost = Instance::new(None);
    let bound = (200, json!({"ok": true}));
    lost.cloud.answer("/launch", [bound, (409, json!({"ok": false, "refused": "the launch is Closing"}))]);
    let (mut child, go) = waiting_by(&lost, &mut unread(&lost));
    lost.cloud.wait_for(|requests| requests.iter().any(|request| request.status == 409));
    fs::write(go, "").unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(lost.log().contains("last"));
}

#[test]
fn a_job_runs_as_the_user_who_is_named_where_there_is_one() {
    let is_root = fs::read_to_string("/proc/self/status").unwrap().contains("Uid:\t0\t");
    for (user, ran) in [("nobody", is_root), ("there-is-no-such-user", true)] {
        let instance = Instance::new(Some(job(&["echo runs as $(id -u)"])));
        // Else nobody could reach the work folder.
        let open = Command::new("chmod").arg("755").arg(instance.folder.path()).status().unwrap();
        assert!(open.success());
        let output = instance.command().args(["--user", user]).output().unwrap();
        let (code, said) = (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned());
        if !ran {
            // Only root becomes somebody else; nobody's job runs as the wrong one.
            assert_ne!(code, Some(0), "{said}");
            assert!(instance.coordinator.requests().is_empty());
            continue;
        }
        assert_eq!(code, Some(0), "{said}");
        let own = Command::new("id").args(["-u"]).output().unwrap().stdout;
        let nobody = Command::new("id").args(["-u", "nobody"]).output().unwrap().stdout;
        let expected = String::from_utf8(if user == "nobody" { nobody } else { own }).unwrap();
        assert!(instance.log().contains(&format!("runs as {}", expected.trim())), "{}", instance.log());
        assert_eq!(said.contains("there is no user"), user != "nobody", "{said}");
    }
}

/// The one child of a process.
fn child_of(parent: u32) -> u32 {
    let of = |pid: u32| fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let parent_of = |stat: &str| stat.rsplit(')').next()?.split_whitespace().nth(1)?.parse::<u32>().ok();
    let all = fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let children: Vec<u32> = all.filter(|pid| parent_of(&of(*pid)) == Some(parent)).collect();
    assert_eq!(children.len(), 1, "{children:?}");
    children[0]
}

/// All readable memory of a process; `None` when the kernel refuses.
fn memory(pid: u32) -> Option<Vec<u8>> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).ok()?;
    let mut file = fs::File::open(format!("/proc/{pid}/mem")).ok()?;
    let mut all = Vec::new();
    for line in maps.lines().filter(|line| line.split_whitespace().nth(1).is_some_and(|mode| mode.starts_with("rw"))) {
        let (from, to) = line.split_whitespace().next()?.split_once('-')?;
        let (from, to) = (u64::from_str_radix(from, 16).ok()?, u64::from_str_radix(to, 16).ok()?);
        let mut part = vec![0; usize::try_from(to - from).unwrap()];
        if file.seek(SeekFrom::Start(from)).is_ok() && file.read_exact(&mut part).is_ok() {
            all.extend(part);
        }
    }
    Some(all)
}

fn holds(memory: &[u8], text: &str) -> bool {
    memory.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn while_a_job_runs_neither_runner_token_nor_role_keys_are_in_any_memory() {
    let instance = Instance::new(None);
    let (child, go) = waiting(&instance);
    let (watchdog, runner) = (child.id(), child_of(child.id()));
    // Others than root may look at neither; that is promised, too.
    if let Some(memory) = memory(runner) {
        assert!(holds(&memory, JOB_TOKEN), "the control: the job's own token is there to be found");
        for secret in [RUNNER_TOKEN, SECRET_KEY, SESSION_TOKEN] {
            assert!(!holds(&memory, secret), "{secret} is in the runner's memory");
        }
    } else {
        let uid = fs::read_to_string("/proc/self/status").unwrap();
        assert!(!uid.contains("Uid:\t0\t"), "root could not look");
    }
    for pid in [watchdog, runner] {
        for name in ["environ", "cmdline"] {
            let shown = fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
            for secret in [RUNNER_TOKEN, SECRET_KEY, SESSION_TOKEN, NONCE] {
                assert!(!holds(&shown, secret), "{secret} is in {name}");
            }
        }
    }
    if let Some(memory) = memory(watchdog) {
        for secret in [RUNNER_TOKEN, SECRET_KEY, SESSION_TOKEN, NONCE, JOB_TOKEN] {
            assert!(!holds(&memory, secret), "{secret} is in the watchdog's memory");
        }
    }
    let handed = fs::read(format!("/proc/{runner}/fd/0")).unwrap_or_default();
    assert!(handed.is_empty(), "standard input still holds what was handed over");
    fs::write(go, "").unwrap();
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(0));
    let shown: Vec<Value> = instance.coordinator.puts();
    assert_eq!(shown.last().unwrap()["state"], "success");
}

#[test]
fn the_official_runner_takes_one_job_and_the_launch_says_only_that_it_lives_and_ends() {
    let instance = Instance::new(Some(job(&["echo ran"]))).with_official();
    instance.cloud.official("shell");
    let (code, said) = instance.run();
    assert_eq!(code, Some(0), "{said}");
    assert!(instance.log().contains("ran"));
    let words = instance.cloud.words();
    assert!(words.iter().all(|word| ["renew", "end"].contains(&word.as_str())), "{words:?}");
    let last = instance.cloud.bodies("/launch").pop().unwrap();
    assert_eq!((&last["do"], &last["outcome"]), (&json!("end"), &json!("over")));
    let asked = instance.coordinator.requests()[0].json();
    assert_eq!((&asked["token"], &asked["system_id"]), (&json!(RUNNER_TOKEN), &json!("r_launch")));
    let cmdline = fs::read_to_string(instance.folder.path().join("cmdline")).unwrap();
    assert!(cmdline.contains("--max-builds 1 ") && !cmdline.contains(RUNNER_TOKEN), "{cmdline}");
    assert!(!said.contains(RUNNER_TOKEN) && !said.contains(NONCE), "{said}");
    assert!(!instance.work().join("official/config.toml").exists());
}

#[test]
fn an_official_runner_without_a_job_or_that_fails_ends_the_launch_with_its_reason() {
    let idle = Instance::new(None).with_official();
    let broken = Instance::new(None).with_official();
    // It refuses the configuration of another executor than its own.
    broken.cloud.official("docker:alpine");
    idle.cloud.official("shell");
    let missing = Instance::new(None);
    missing.cloud.official("shell");
    for (instance, code, outcome) in [(idle, 5, "no_job"), (broken, 7, "failed"), (missing, 7, "failed")] {
        let (ended, said) = instance.run();
        assert_eq!(ended, Some(code), "{outcome}: {said}");
        let last = instance.cloud.bodies("/launch").pop().unwrap();
        assert_eq!((&last["do"], &last["outcome"]), (&json!("end"), &json!(outcome)), "{said}");
        assert!(last["reason"].as_str().unwrap().contains("gitlab-runner"), "{last}");
    }
}

#[test]
fn the_official_runner_is_not_started_while_the_metadata_service_answers() {
    let instance = Instance::new(Some(job(&["echo must-not-run"]))).with_official();
    instance.cloud.official("shell");
    instance.cloud.keep_metadata_on();
    let (code, said) = instance.run();
    assert_eq!(code, Some(7), "{said}");
    assert_eq!(instance.cloud.bodies("/launch").pop().unwrap()["outcome"], "unanswered");
    assert!(instance.coordinator.requests().is_empty());
}
