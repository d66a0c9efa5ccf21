//! Hostile jobs through the real executor: a quick selection of the cases, and what a run makes of cases that do not hold.

#![allow(clippy::unwrap_used, reason = "a test's helper may panic: that fails the test")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;

/// Cases of every kind that take no longer than a second or two.
const FAST: [&str; 24] = [
    "background-deaf",
    "background-quiet",
    "closes-its-output",
    "daemon-double-fork",
    "daemon-setsid",
    "deep-tree",
    "deletes-its-work-folder",
    "dotfiles-for-the-next",
    "environment-file-is-a-link",
    "fills-the-disk",
    "forks-for-ever-in-sessions",
    "forks-for-ever",
    "invalid-utf-8",
    "kill-everybody",
    "kill-own-group-kill",
    "kill-parent-kill",
    "kill-parent-term",
    "leaves-files-everywhere",
    "limits-of-parent",
    "links-its-work-root",
    "locks-its-tree",
    "masked-byte-by-byte",
    "memory-of-parent",
    "shared-memory-of-system-v",
];

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

    fn case(&self, id: &str, text: &str) {
        fs::write(self.folder.path().join("cases").join(format!("{id}.json")), text).unwrap();
    }

    /// The lines without the summary; none where the machine allows no namespaces.
    fn run(&self) -> Option<(Output, Vec<Value>)> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
        let mut command = Command::new(env!("CARGO_BIN_EXE_runnerless-local"));
        command.arg("hostile").arg("--root").arg(root).arg("--state").arg(self.folder.path().join("state"));
        let output = command.arg("--cases").arg(self.folder.path().join("cases")).output().unwrap();
        let text = String::from_utf8(output.stdout.clone()).unwrap();
        let mut lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let summary = lines.pop().unwrap_or_else(|| panic!("{}", words(&output)));
        assert_eq!((&summary["kind"], &summary["target"]), (&json!("summary"), &json!("hostile")));
        (summary["skipped"] == 0).then_some((output, lines))
    }
}

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn own() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("cases/hostile")
}

#[test]
fn hostile_jobs_end_as_stated_and_leave_nothing_to_the_next() {
    let desk = Desk::new();
    for id in FAST {
        desk.case(id, &fs::read_to_string(own().join(format!("{id}.json"))).unwrap());
    }
    let Some((output, lines)) = desk.run() else { return };
    assert!(output.status.success(), "{}", words(&output));
    let ids: Vec<&str> = lines.iter().filter_map(|line| line["id"].as_str()).collect();
    assert_eq!(ids, FAST);
    for line in &lines {
        assert_eq!((&line["suite"], &line["ok"]), (&json!("hostile"), &json!(true)));
        assert_eq!(line["got"]["next_job"]["clean"], true, "{line}");
    }
}

#[test]
fn what_does_not_hold_fails_the_run_and_is_named() {
    let desk = Desk::new();
    let none = r#""variables": {"GIT_STRATEGY": "none"}"#;
    desk.case(
        "a-wrong",
        &format!(
            r#"{{"script": ["echo first"], {none}, "expect": {{"state": "failed", "exit_code": 3, "executor": "ends",
                "log_has": ["second"], "log_lacks": ["first"], "log_at_most": 10}}}}"#
        ),
    );
    desk.case("b-dies", &format!(r#"{{"script": ["kill -9 $PPID"], {none}, "expect": {{"state": "running"}}}}"#));
    desk.case("c-expects-nothing", &format!(r#"{{"script": ["echo first"], {none}}}"#));
    desk.case("d-good", &format!(r#"{{"script": ["echo first"], {none}, "expect": {{"state": "success"}}}}"#));
    let Some((output, lines)) = desk.run() else { return };
    assert_eq!(output.status.code(), Some(1), "{}", words(&output));
    let why = |line: &Value| line["got"]["why"].to_string();
    for part in ["state is", "exit code is", "one that Ends", "the log lacks", "the log has \\\"first", "bytes"] {
        assert!(why(&lines[0]).contains(part), "{part}: {}", why(&lines[0]));
    }
    assert!(why(&lines[1]).contains("its process ended"), "{}", why(&lines[1]));
    assert!(why(&lines[2]).contains("is no case"), "{}", why(&lines[2]));
    assert_eq!(lines[3]["ok"], true, "{}", lines[3]);
}

#[test]
fn every_own_case_says_what_it_is_about_and_what_is_expected_and_there_are_more_than_fifty() {
    let mut count = 0;
    for entry in fs::read_dir(own()).unwrap() {
        let path = entry.unwrap().path();
        let case: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        assert!(case["about"].is_string() && case["expect"]["state"].is_string(), "{}", path.display());
        count += 1;
    }
    assert!(count > 50, "{count} cases");
}
