//! The demo's Python runner keeps the order and the times of `docs/lambda-event.md`.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::Path;
use std::process::Command;

#[test]
fn the_python_runner_keeps_the_protocol() {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new("python3")
        .arg("-B")
        .arg(own.join("python/test_python_runner.py"))
        .arg(own.join("../../../demo/python-runner"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
