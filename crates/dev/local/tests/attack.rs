//! The attack's runner on a stack of its own: cases that hold, one that does not, and folders that are none.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;

/// Own cases, of every target and every mode of the stack.
const FEW: [&str; 14] = [
    "accepted-signed",
    "accepted-signed-previous-key",
    "accepted-token",
    "accepted-token-beside-a-key-when-allowed",
    "authentic-name-shell",
    "body-over-the-limit",
    "both-no-proof-ingest",
    "both-token-alone",
    "filter-passes-signature",
    "none-signed-ingest",
    "signature-doubled",
    "signature-of-a-wrong-key",
    "signature-stale-authorizer",
    "signing-mode-token",
];

fn own(id: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("cases/attack/{id}.json"))
}

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

    fn run(&self, more: &[&str]) -> Output {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
        let mut command = Command::new(env!("CARGO_BIN_EXE_runnerless-local"));
        command.arg("attack").arg("--root").arg(root).arg("--state").arg(self.folder.path().join("state"));
        command.arg("--cases").arg(self.folder.path().join("cases")).args(more).output().unwrap()
    }
}

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn each_case_has_a_line_with_the_state_around_it_and_one_that_does_not_hold_fails_the_run() {
    let desk = Desk::new();
    for id in FEW {
        desk.case(id, &fs::read_to_string(own(id)).unwrap());
    }
    let accepted: Value = serde_json::from_str(&fs::read_to_string(own("accepted-signed")).unwrap()).unwrap();
    let mut refused = accepted.clone();
    refused["id"] = "wrong-expectation".into();
    refused["expect"]["status"] = json!([401]);
    refused["state_changed"] = false.into();
    desk.case("wrong-expectation", &refused.to_string());
    let mut idle: Value = serde_json::from_str(&fs::read_to_string(own("both-token-alone")).unwrap()).unwrap();
    idle["id"] = "wrong-change".into();
    idle["state_changed"] = true.into();
    desk.case("wrong-change", &idle.to_string());

    let out = desk.folder.path().join("out.jsonl");
    let output = desk.run(&["--mutations", "40", "--seed", "7", "--out", out.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1), "{}", words(&output));
    assert_eq!(fs::read(out).unwrap(), output.stdout);
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let line = |id: &str| lines.iter().find(|line| line["id"] == id).unwrap_or_else(|| panic!("{id}: {text}"));
    for id in FEW {
        let line = line(id);
        assert_eq!(
            (&line["kind"], &line["suite"], &line["ok"]),
            (&json!("case"), &json!("attack"), &json!(true)),
            "{line}"
        );
        let changes = id.starts_with("accepted") || id == "authentic-name-shell";
        assert_eq!(line["state_changed"], changes, "{line}");
        let state = &line["got"]["state"];
        assert_eq!(state["before"] != state["after"], changes, "{line}");
    }
    let accepted = line("accepted-signed")["got"]["state"]["changed"].to_string();
    for part in ["ledger job#990001#", "calls dynamodb:PutItem", "calls events:PutEvents"] {
        assert!(accepted.contains(part), "{accepted}");
    }
    let wrong = line("wrong-expectation")["got"]["why"].to_string();
    assert!(wrong.contains("the status is 200") && wrong.contains("ledger job#990001#"), "{wrong}");
    let wrong = line("wrong-change")["got"]["why"].to_string();
    assert!(wrong.contains("no job's row did"), "{wrong}");
    let mutated = line("mutated-40");
    assert_eq!((&mutated["ok"], &mutated["got"]["seed"]), (&json!(true), &json!(7)), "{mutated}");
    let summary = lines.last().unwrap();
    assert_eq!((&summary["kind"], &summary["target"]), (&json!("summary"), &json!("attack")));
    assert_eq!((&summary["passed"], &summary["failed"], &summary["ok"]), (&json!(15), &json!(2), &json!(false)));
}

#[test]
fn a_bad_case_file_is_named_with_its_field_before_anything_is_started() {
    let desk = Desk::new();
    desk.case("good", &fs::read_to_string(own("both-no-proof")).unwrap());
    desk.case("misspelt", r#"{"id": "x", "target": "http", "heders": [], "expect": {"status": [403]}}"#);
    desk.case("no-json", "{");
    let output = desk.run(&[]);
    assert_eq!(output.status.code(), Some(2), "{}", words(&output));
    let words = words(&output);
    assert!(words.contains("misspelt.json: heders: ") && words.contains("the keys are id, "), "{words}");
    assert!(words.contains("no-json.json"), "{words}");
    assert!(output.stdout.is_empty() && !desk.folder.path().join("state/stack.json").exists());
}

#[test]
fn nothing_to_run_is_no_success() {
    let desk = Desk::new();
    let output = desk.run(&[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(words(&output).contains("no *.json file") && output.stdout.is_empty(), "{}", words(&output));
}

#[test]
fn own_cases_are_many_named_as_their_files_and_none_takes_a_5xx() {
    let (mut count, mut accepted) = (0, 0);
    for entry in fs::read_dir(own("x").parent().unwrap()).unwrap() {
        let path = entry.unwrap().path();
        let case: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        assert_eq!(case["id"].as_str(), path.file_stem().and_then(|name| name.to_str()));
        assert!(case["about"].is_string(), "{}", path.display());
        let statuses = case["expect"]["status"].as_array().unwrap();
        let fine = |status: &Value| status.as_u64().is_some_and(|status| status < 500);
        assert!(statuses.iter().all(fine), "{}", path.display());
        count += 1;
        accepted += usize::from(case["state_changed"] == true);
    }
    assert!(count >= 90 && accepted >= 20, "{count} cases, {accepted} of them accepted");
}
