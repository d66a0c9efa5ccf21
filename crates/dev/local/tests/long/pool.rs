//! A pool of runner managers: the quick cases of `make pool` on a deployed stack.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

#[test]
fn a_pool_is_sized_and_no_job_of_it_is_ended_on_a_deployed_stack() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
    let state = format!(".local/tests/pool-{}", std::process::id());
    let mut command = Command::new(env!("CARGO_BIN_EXE_runnerless-local"));
    command.args(["pool", "--quick", "--root"]).arg(&root).args(["--state", &state]);
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
    for line in &lines {
        assert_eq!((&line["kind"], &line["suite"], &line["ok"]), (&"case".into(), &"pool".into(), &true.into()));
    }
    assert_eq!(lines.len(), 5, "{text}");
}
