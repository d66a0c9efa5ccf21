//! The cases through the real simulator and the real runner, and what a run makes of cases that do not hold.

#![allow(clippy::unwrap_used, reason = "a test's helper may panic: that fails the test")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;

/// Own cases of every kind that take no longer than a second or two.
const FAST: [&str; 20] = [
    "background-holds-output",
    "cancel",
    "duplicate-keys",
    "echo",
    "exit-codes-do-not-mix",
    "final-202",
    "hooks",
    "image-and-services",
    "masked",
    "no-sources",
    "no-steps",
    "null-arrays",
    "null-run",
    "old-gitlab",
    "run-keyword",
    "script-timeout",
    "strategy-clone",
    "trace-502",
    "unknown-step",
    "variables",
];

/// Stands in for the official runner: takes its words, and runs the job with ours.
const STAND_IN: &str = r#"#!/bin/sh
set -eu
[ "$1" = run-single ] && [ "$2" = -u ] && [ "$4" = -t ] && [ "$6 $7 $8 $9" = "--executor shell --max-builds 1" ]
[ -w "$HOME" ] && [ "${12}" = --builds-dir ]
printf %s "$5" > "$HOME/token"
exec RUNNER once --url "$3" --token-file "$HOME/token" --work "${13}" --wait "${11}"
"#;

/// A folder with cases, and a state folder.
struct Desk {
    folder: TempDir,
}

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("cases")).unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn case(&self, id: &str, text: &str) {
        fs::write(self.path("cases").join(format!("{id}.json")), text).unwrap();
    }

    fn program(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        path
    }

    fn run(&self, more: &[&Path]) -> Output {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
        let mut command = Command::new(env!("CARGO_BIN_EXE_runnerless-local"));
        command.arg("conformance").arg("--root").arg(root).arg("--state").arg(self.path("state"));
        command.arg("--cases").arg(self.path("cases")).args(more).output().unwrap()
    }
}

/// A program of the workspace, built before the tests.
fn built(name: &str) -> PathBuf {
    let program = Path::new(env!("CARGO_BIN_EXE_runnerless-local")).with_file_name(name);
    assert!(program.is_file(), "{} is not there: run `make test`, or `make build` first", program.display());
    program
}

fn lines(output: &Output) -> Vec<Value> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn why(line: &Value) -> String {
    line["got"]["why"].to_string()
}

#[test]
fn own_cases_hold() {
    built("gitlab-sim");
    built("runnerless-runner");
    let desk = Desk::new();
    for id in FAST {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("cases/conformance/{id}.json"));
        desk.case(id, &fs::read_to_string(file).unwrap());
    }
    let out = desk.path("out.jsonl");
    let output = desk.run(&[Path::new("--out"), &out]);
    assert!(output.status.success(), "{}", words(&output));
    let lines = lines(&output);
    let ids: Vec<&str> = lines.iter().filter_map(|line| line["id"].as_str()).collect();
    assert_eq!(ids, FAST);
    for line in &lines[..FAST.len()] {
        assert_eq!((&line["kind"], &line["suite"], &line["ok"]), (&json!("case"), &json!("conformance"), &json!(true)));
        assert!(line["expected"]["state"].is_string() && line["got"]["state"].is_string(), "{line}");
    }
    let summary = &lines[FAST.len()];
    let passed = json!(FAST.len());
    assert_eq!((&summary["kind"], &summary["passed"], &summary["ok"]), (&json!("summary"), &passed, &json!(true)));
    assert_eq!(fs::read(out).unwrap(), output.stdout);
}

#[test]
fn every_own_case_says_what_it_is_about_and_expects_a_state() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases/conformance");
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let case: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        assert!(case["about"].is_string() && case["expect"]["state"].is_string(), "{}", path.display());
    }
}

#[test]
fn what_does_not_hold_fails_the_run_and_is_named() {
    built("gitlab-sim");
    let desk = Desk::new();
    let none = r#""variables": {"GIT_STRATEGY": "none"}"#;
    desk.case("a-good", &format!(r#"{{"script": ["echo first"], {none}}}"#));
    desk.case(
        "b-wrong",
        &format!(
            r#"{{"script": ["echo first"], {none}, "expect": {{"state": "failed", "exit_code": 3, "reason": "script_failure",
                "log_has": ["second"], "log_lacks": ["first"], "sections": ["step_script"]}}}}"#
        ),
    );
    desk.case("c-misspelt", r#"{"script": ["echo first"], "expect": {"status": "failed"}}"#);
    desk.case("d-no-json", "{");
    desk.case("e-refused", r#"{"script": "echo first"}"#);
    desk.case("f-late", &format!(r#"{{"script": ["sleep 600"], {none}, "limit": 1}}"#));
    desk.case("g-good", &format!(r#"{{"script": ["echo first"], {none}, "expect": {{"state": "success"}}}}"#));
    let output = desk.run(&[]);
    assert_eq!(output.status.code(), Some(1), "{}", words(&output));
    let lines = lines(&output);
    let ok: Vec<bool> = lines.iter().map(|line| line["ok"].as_bool().unwrap()).collect();
    assert_eq!(ok, [true, false, false, false, false, false, true, false]);
    let wrong = why(&lines[1]);
    for part in ["state is success", "exit code is 0", "reason is none", "the log lacks", "the log has", "sections are"]
    {
        assert!(wrong.contains(part), "{part}: {wrong}");
    }
    assert!(why(&lines[2]).contains("status"), "{}", lines[2]);
    assert!(why(&lines[4]).contains("expected a sequence"), "{}", lines[4]);
    assert!(why(&lines[5]).contains("within the case's limit"), "{}", lines[5]);
    assert_eq!(lines[5]["got"]["reason"], "runner_system_failure");
    assert_eq!((&lines[7]["passed"], &lines[7]["failed"]), (&json!(2), &json!(5)));
}

#[test]
fn the_official_runner_gets_the_same_jobs_and_both_ends_are_compared() {
    let runner = built("runnerless-runner");
    built("gitlab-sim");
    let desk = Desk::new();
    let case = r#""script": ["(exit 3)"], "variables": {"GIT_STRATEGY": "none"}, "expect": {"exit_code": 3}"#;
    desk.case("plain", &format!("{{{case}}}"));
    desk.case("differing", &format!(r#"{{{case}, "differs": "for this test"}}"#));
    let same = desk.program("same", &STAND_IN.replace("RUNNER", runner.to_str().unwrap()));
    let output = desk.run(&[Path::new("--official"), &same]);
    assert!(output.status.success(), "{}", words(&output));
    let plain = &lines(&output)[1];
    assert_eq!((&plain["id"], &plain["got"]["official"]["exit_code"]), (&json!("plain"), &json!(3)));
    assert_eq!(plain["got"]["differences"], json!([]));

    let idle = desk.program("idle", "#!/bin/sh\n");
    let output = desk.run(&[Path::new("--official"), &idle]);
    assert_eq!(output.status.code(), Some(1));
    let lines = lines(&output);
    assert_eq!((&lines[0]["id"], &lines[0]["ok"]), (&json!("differing"), &json!(true)));
    assert!(!lines[0]["got"]["differences"].as_array().unwrap().is_empty());
    assert!(why(&lines[1]).contains("state: ours"), "{}", lines[1]);
}

#[test]
fn nothing_to_run_is_no_success() {
    let desk = Desk::new();
    let output = desk.run(&[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(words(&output).contains("no *.json file") && output.stdout.is_empty(), "{}", words(&output));

    desk.case("x", r#"{"script": ["echo first"]}"#);
    let output = desk.run(&[Path::new("--official"), Path::new("/nowhere/gitlab-runner")]);
    assert_eq!(output.status.code(), Some(1));
    assert!(words(&output).contains("OFFICIAL"), "{}", words(&output));
}
