//! A suite of this driver's, run as its command.

#![allow(dead_code, reason = "each test file uses its own part of this")]

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// The lines of its cases, each of which went well; none where this machine cannot play it, and says why. What the suite leaves is
/// below `state`, which a failure keeps.
pub(crate) fn cases(suite: &str, options: &[&str], state: &Path) -> Option<Vec<Value>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
    let mut command = Command::new(env!("CARGO_BIN_EXE_runnerless-local"));
    command.arg(suite).args(options).arg("--root").arg(&root).arg("--state").arg(state);
    let output = command.output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words}");
    std::fs::remove_dir_all(root.join(state)).unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let mut lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let summary = lines.pop().unwrap();
    if summary["skipped"] == 1 {
        // docs/limits.md names the reasons.
        assert!(words.contains("skipped: "), "{words}");
        return None;
    }
    for line in &lines {
        assert_eq!((&line["kind"], &line["suite"], &line["ok"]), (&"case".into(), &suite.into(), &true.into()));
    }
    Some(lines)
}

/// A suite's folder in the checkout, for those whose processes have a `/tmp` of their own.
pub(crate) fn in_checkout(suite: &str) -> PathBuf {
    format!(".local/tests/{suite}-{}", std::process::id()).into()
}
