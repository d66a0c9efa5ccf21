//! The JSON lines: on standard output, and in a file when one is wanted.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::trial::Tried;

/// Where the lines go, and how many trials came out as expected.
#[derive(Debug)]
pub(crate) struct Lines {
    file: Option<File>,
    passed: usize,
    failed: usize,
}

impl Lines {
    /// Standard output, and `out` from its beginning.
    ///
    /// # Errors
    /// The file cannot be made.
    pub(crate) fn new(out: Option<&Path>) -> io::Result<Self> {
        Ok(Self { file: out.map(File::create).transpose()?, passed: 0, failed: 0 })
    }

    /// One trial.
    ///
    /// # Errors
    /// The lines cannot be written.
    pub(crate) fn trial(&mut self, id: &str, tried: &Tried) -> io::Result<()> {
        *(if tried.ok { &mut self.passed } else { &mut self.failed }) += 1;
        let expected = if tried.expects_a_fall { json!({"world": "falls"}) } else { json!({"world": "holds"}) };
        self.write(&json!({
            "v": 1, "kind": "case", "suite": "mutants", "id": id, "expected": expected,
            "got": {
                "world": tried.came.name(), "falls": tried.falls, "found": tried.found,
                "build_s": tried.built.as_secs_f64(), "world_s": tried.ran.as_secs_f64(),
            },
            "state_changed": false, "ok": tried.ok,
        }))
    }

    /// The last line. True when every trial came out as expected.
    ///
    /// # Errors
    /// The lines cannot be written.
    pub(crate) fn summary(&mut self, took: Duration) -> io::Result<bool> {
        let ok = self.failed == 0 && self.passed > 0;
        self.write(&json!({
            "v": 1, "kind": "summary", "target": "mutants", "passed": self.passed, "failed": self.failed, "skipped": 0,
            "seconds": took.as_secs_f64(), "ok": ok,
        }))?;
        Ok(ok)
    }

    fn write(&mut self, line: &Value) -> io::Result<()> {
        let text = format!("{line}\n");
        let mut output = io::stdout().lock();
        output.write_all(text.as_bytes())?;
        output.flush()?;
        self.file.as_mut().map_or(Ok(()), |file| file.write_all(text.as_bytes()))
    }
}
