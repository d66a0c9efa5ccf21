//! What came of a case, in words.

use serde_json::{Value, json};

use super::case::Case;
use crate::case_lines::Verdict;

pub(super) fn verdict(case: &Case, got: Value, why: Vec<String>) -> Verdict {
    let expected = json!(case.expect);
    let word = |name: &str| match &got[name] {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let words = format!(
        "{:24} {} after {} s; nothing left after {} s of {}; launches {} of {}, runs {}; {}",
        case.id,
        word("job"),
        word("ended_s"),
        word("gone_s"),
        expected["bound_s"],
        word("launches"),
        expected["launches"],
        word("runs"),
        word("struck"),
    );
    Verdict { id: case.id.clone(), expected, got, why, words }
}
