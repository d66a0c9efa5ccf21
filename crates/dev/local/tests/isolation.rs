//! What a job can reach: the whole table, as an unprivileged user.

#![allow(clippy::unwrap_used, reason = "a test's helper may panic: that fails the test")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

#[test]
fn a_job_reaches_nothing_of_ours_and_every_attempt_works_on_a_process_that_protects_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
    let mut command = Command::new(env!("CARGO_BIN_EXE_runnerless-local"));
    command.arg("isolation").arg("--root").arg(root).arg("--state").arg(folder.path().join("state"));
    let output = command.output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words}");
    let text = String::from_utf8(output.stdout).unwrap();
    let mut lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let summary = lines.pop().unwrap();
    if summary["skipped"] == 1 {
        // docs/limits.md names the reasons.
        assert!(words.contains("skipped: "), "{words}");
        return;
    }
    let mut attempts: BTreeMap<&str, usize> = BTreeMap::new();
    for line in &lines {
        assert_eq!((&line["kind"], &line["suite"], &line["ok"]), (&"case".into(), &"isolation".into(), &true.into()));
        *attempts.entry(line["got"]["engine"].as_str().unwrap()).or_default() += 1;
    }
    let all = [("executor, shared", 32), ("executor, tenant", 29), ("runner by hand", 24)];
    assert_eq!(attempts, BTreeMap::from(all));
    assert!(!text.contains("canary"), "the secret is in the table itself");
}
