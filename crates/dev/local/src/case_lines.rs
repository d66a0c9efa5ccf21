//! The JSON lines of a suite of cases: on standard output, and in a file when one is wanted.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

/// Where the lines go.
#[derive(Debug)]
pub(crate) struct CaseLines {
    suite: &'static str,
    target: &'static str,
    file: Option<File>,
    /// Why the file lacks lines.
    failed: Option<io::Error>,
}

impl CaseLines {
    /// For the lines of `suite`: standard output, and `out` from its beginning.
    pub(crate) fn new(suite: &'static str, out: Option<&Path>) -> io::Result<Self> {
        Ok(Self { suite, target: suite, file: out.map(File::create).transpose()?, failed: None })
    }

    /// The same for a suite whose make target has another name.
    pub(crate) const fn of_target(mut self, target: &'static str) -> Self {
        self.target = target;
        self
    }

    /// A case's line.
    pub(crate) fn case(&mut self, id: &str, expected: &Value, got: &Value, state_changed: bool, ok: bool) {
        self.write(&json!({
            "v": 1, "kind": "case", "suite": self.suite, "id": id,
            "expected": expected, "got": got, "state_changed": state_changed, "ok": ok,
        }));
    }

    /// Something that a suite left behind.
    pub(crate) fn leftover(&mut self, what: &str, id: &str) {
        self.write(&json!({"v": 1, "kind": "leftover", "suite": self.suite, "what": what, "id": id}));
    }

    /// The last line.
    pub(crate) fn summary(&mut self, passed: usize, failed: usize, skipped: usize, took: Duration) {
        self.write(&json!({
            "v": 1, "kind": "summary", "target": self.target, "passed": passed, "failed": failed, "skipped": skipped,
            "seconds": took.as_secs_f64(), "ok": failed == 0 && passed + skipped > 0,
        }));
    }

    /// A reader that left does not end the run: what it started must still be ended.
    fn write(&mut self, line: &Value) {
        let text = format!("{line}\n");
        let mut output = io::stdout().lock();
        let _ = output.write_all(text.as_bytes()).and_then(|()| output.flush());
        if let Some(file) = &mut self.file {
            let written = file.write_all(text.as_bytes());
            self.failed = self.failed.take().or(written.err());
        }
    }

    /// Whether the file has every line.
    ///
    /// # Errors
    /// Why it does not.
    pub(crate) fn finish(self) -> io::Result<()> {
        self.failed.map_or(Ok(()), Err)
    }
}
