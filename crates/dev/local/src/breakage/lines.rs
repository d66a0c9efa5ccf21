//! The lines of the cases: JSON on standard output and in a file when one is wanted, and a table for people.

use std::io;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::case::Case;
use crate::case_lines::{CaseLines, Verdict};
use crate::demo::tell;

pub(super) fn verdict(case: &Case, got: Value, why: Vec<String>) -> Verdict {
    let expected = case.expect.view();
    let word = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let seen = |name: &str| word(&got[name]);
    let words = format!(
        "{:52} answered {} after {} ms; stored {}; {} after {} ms, by {}; launches {}, runs {}",
        case.id,
        seen("answered"),
        seen("answered_ms"),
        seen("stored"),
        seen("job"),
        seen("healed_ms"),
        word(&expected["healed_by"]),
        seen("launches"),
        seen("runs"),
    );
    Verdict { id: case.id.clone(), expected, got, why, words }
}

/// The lines, and what they add up to.
#[derive(Debug)]
pub(super) struct Lines {
    lines: CaseLines,
    passed: usize,
    broken: usize,
}

impl Lines {
    /// Standard output, and `out` from its beginning.
    pub(super) fn new(out: Option<&Path>) -> io::Result<Self> {
        Ok(Self { lines: CaseLines::new("faults", out)?.of_target("breakage"), passed: 0, broken: 0 })
    }

    /// A case's line.
    pub(super) fn case(&mut self, verdict: &Verdict) {
        let held = verdict.holds();
        if held {
            self.passed += 1;
        } else {
            self.broken += 1;
        }
        tell(&verdict.said());
        self.lines.case(&verdict.id, &verdict.expected, &verdict.seen(), true, held);
    }

    /// The last line; whether all cases held.
    pub(super) fn summary(&mut self, took: Duration) -> bool {
        self.lines.summary(self.passed, self.broken, 0, took);
        self.broken == 0 && self.passed > 0
    }

    /// Whether the file has every line.
    ///
    /// # Errors
    /// Why it does not.
    pub(super) fn finish(self) -> io::Result<()> {
        self.lines.finish()
    }
}
