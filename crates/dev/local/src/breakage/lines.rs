//! The lines of the cases: JSON on standard output and in a file when one is wanted, and a table for people.

use std::io;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::case::Case;
use crate::case_lines::CaseLines;
use crate::demo::tell;

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
}

impl Verdict {
    /// Of this case.
    pub(super) fn of(case: &Case, got: Value, why: Vec<String>) -> Self {
        Self { id: case.id.clone(), expected: case.expect.view(), got, why }
    }

    /// Whether all that was stated held.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.why.is_empty()
    }

    /// One line for people.
    #[must_use]
    pub fn said(&self) -> String {
        let word = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let got = |name: &str| word(&self.got[name]);
        format!(
            "{} {:52} answered {} after {} ms; stored {}; {} after {} ms, by {}; launches {}, runs {}{}",
            if self.holds() { "ok    " } else { "FAILED" },
            self.id,
            got("answered"),
            got("answered_ms"),
            got("stored"),
            got("job"),
            got("healed_ms"),
            word(&self.expected["healed_by"]),
            got("launches"),
            got("runs"),
            self.why.iter().map(|why| format!("\n         {why}")).collect::<String>(),
        )
    }
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
        let mut got = verdict.got.clone();
        if !held {
            got["why"] = json!(verdict.why);
        }
        self.lines.case(&verdict.id, &verdict.expected, &got, true, held);
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
