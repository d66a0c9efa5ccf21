//! The lines of the cases: JSON on standard output and in a file when one is wanted, and a table for people.

use serde_json::{Value, json};

use super::case::Case;

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
    pub(super) fn of(case: &Case, got: Value, why: Vec<String>) -> Self {
        Self { id: case.id.clone(), expected: json!(case.expect), got, why }
    }

    /// Whether all that was stated held.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.why.is_empty()
    }

    /// One line for people.
    #[must_use]
    pub fn said(&self) -> String {
        let got = |name: &str| match &self.got[name] {
            Value::Null => "-".to_owned(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        format!(
            "{} {:24} {} after {} s; nothing left after {} s of {}; launches {} of {}, runs {}; {}{}",
            if self.holds() { "ok    " } else { "FAILED" },
            self.id,
            got("job"),
            got("ended_s"),
            got("gone_s"),
            self.expected["bound_s"],
            got("launches"),
            self.expected["launches"],
            got("runs"),
            got("struck"),
            self.why.iter().map(|why| format!("\n         {why}")).collect::<String>(),
        )
    }

    /// For the line of the case.
    pub(super) fn seen(&self) -> Value {
        let mut got = self.got.clone();
        if !self.holds() {
            got["why"] = json!(self.why);
        }
        got
    }
}
