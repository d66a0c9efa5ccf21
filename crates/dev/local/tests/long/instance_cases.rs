//! What is promised of instances: every case on a deployed stack.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

#[test]
fn every_promise_about_instances_holds_on_a_deployed_stack() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
    let state = format!(".local/tests/instance-cases-{}", std::process::id());
    let mut command = Command::new(env!("CARGO_BIN_EXE_runnerless-local"));
    command.arg("instances").arg("--root").arg(&root).args(["--state", &state]);
    let output = command.output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words}");
    let text = String::from_utf8(output.stdout).unwrap();
    std::fs::remove_dir_all(root.join(state)).unwrap();
    let mut lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let summary = lines.pop().unwrap();
    if summary["skipped"] == 1 {
        // docs/limits.md names the reasons.
        assert!(words.contains("skipped: "), "{words}");
        return;
    }
    let mut cases: BTreeMap<&str, usize> = BTreeMap::new();
    for line in &lines {
        assert_eq!((&line["kind"], &line["suite"], &line["ok"]), (&"case".into(), &"instances".into(), &true.into()));
        let part = line["id"].as_str().unwrap().split(':').next().unwrap();
        *cases.entry(part).or_default() += 1;
    }
    let all = [
        ("calls", 3),
        ("swap", 1),
        ("look-alikes", 11),
        ("reach", 18),
        ("user data", 6),
        ("runners", 5),
        ("removal", 2),
    ];
    assert_eq!(cases, BTreeMap::from(all));
}
