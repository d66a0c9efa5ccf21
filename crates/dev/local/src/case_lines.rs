//! What came of a suite's cases: JSON lines on standard output, and in a file when one is wanted, and words for people.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

/// What came of a case.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// The case's name.
    pub id: String,
    /// What was stated beforehand.
    pub expected: Value,
    /// What was seen.
    pub got: Value,
    /// What did not hold, in words.
    pub why: Vec<String>,
    /// The name and what was seen, as the suite tells it to people.
    pub(crate) words: String,
}

impl Verdict {
    /// A case that holds so far.
    pub(crate) fn new(id: impl Into<String>, expected: Value) -> Self {
        let id = id.into();
        Self { words: id.clone(), id, expected, got: json!({}), why: Vec::new() }
    }

    /// Says why it does not hold, where it does not.
    pub(crate) fn unless(&mut self, holds: bool, why: impl FnOnce() -> String) {
        if !holds {
            self.why.push(why());
        }
    }

    /// Whether all that was stated held.
    #[must_use]
    pub const fn holds(&self) -> bool {
        self.why.is_empty()
    }

    /// For people: one line, and one more for each thing that did not hold.
    #[must_use]
    pub fn said(&self) -> String {
        let held = if self.holds() { "ok    " } else { "FAILED" };
        let why: String = self.why.iter().map(|why| format!("\n         {why}")).collect();
        format!("{held} {}{why}", self.words)
    }

    /// For the case's line: what was seen, and why it did not hold.
    pub(crate) fn seen(&self) -> Value {
        let mut got = self.got.clone();
        if !self.holds() {
            got["why"] = json!(self.why);
        }
        got
    }
}

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
