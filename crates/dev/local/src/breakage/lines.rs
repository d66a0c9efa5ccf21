//! What came of a case, in words.

use serde_json::Value;

use super::case::Case;
use crate::case_lines::Verdict;

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
