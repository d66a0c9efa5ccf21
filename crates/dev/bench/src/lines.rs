//! The JSON lines: on standard output, and in a file when one is wanted.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

/// Where the lines go, and how many of them held.
#[derive(Debug)]
pub struct Lines {
    file: Option<File>,
    /// Why the file lacks lines.
    failed: Option<io::Error>,
    passed: usize,
    missed: usize,
    skipped: usize,
}

impl Lines {
    /// Standard output, and `out` from its beginning.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn new(out: Option<&Path>) -> io::Result<Self> {
        Ok(Self { file: out.map(File::create).transpose()?, failed: None, passed: 0, missed: 0, skipped: 0 })
    }

    /// One measured case: an object with `ok`. What kind of line it is, is added.
    pub fn bench(&mut self, mut line: Value) {
        if line["ok"] == true {
            self.passed += 1;
        } else {
            self.missed += 1;
        }
        line["v"] = 1.into();
        line["kind"] = "bench".into();
        self.write(&line);
    }

    /// A case that cannot be measured here. `listed` says that `docs/limits.md` names it; otherwise the run fails by it.
    pub fn skip(&mut self, binary: &str, case: &str, reason: &str, listed: bool) {
        self.skipped += 1;
        self.missed += usize::from(!listed);
        self.write(&json!({
            "v": 1, "kind": "bench", "binary": binary, "case": case, "skipped": true, "reason": reason, "ok": listed,
        }));
    }

    /// The last line. True when everything held.
    ///
    /// # Errors
    /// The file lacks lines.
    pub fn summary(mut self, took: Duration) -> io::Result<bool> {
        let ok = self.missed == 0 && self.passed > 0;
        self.write(&json!({
            "v": 1, "kind": "summary", "target": "bench", "passed": self.passed, "failed": self.missed,
            "skipped": self.skipped, "seconds": took.as_secs_f64(), "ok": ok,
        }));
        self.failed.map_or(Ok(ok), Err)
    }

    /// A reader that left does not end the run.
    fn write(&mut self, line: &Value) {
        let text = format!("{line}\n");
        let mut output = io::stdout().lock();
        let _ = output.write_all(text.as_bytes()).and_then(|()| output.flush());
        if let Some(file) = &mut self.file {
            let written = file.write_all(text.as_bytes());
            self.failed = self.failed.take().or(written.err());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_holds_when_every_line_does_and_there_is_one() {
        let run = |oks: &[bool], skips: &[bool]| {
            let mut lines = Lines::new(None).unwrap();
            oks.iter().for_each(|ok| lines.bench(json!({"ok": ok})));
            skips.iter().for_each(|listed| lines.skip("ingest", "signed", "no cgroup", *listed));
            lines.summary(Duration::ZERO).unwrap()
        };
        assert!(run(&[true, true], &[true]));
        assert!(!run(&[true, false], &[]));
        assert!(!run(&[true], &[false]));
        assert!(!run(&[], &[true]), "a run that measured nothing shows nothing");
    }

    #[test]
    fn a_file_that_lacks_lines_is_a_failure() {
        let mut lines = Lines::new(Some(Path::new("/dev/full"))).unwrap();
        lines.bench(json!({"ok": true}));
        assert!(lines.summary(Duration::ZERO).is_err());
    }
}
