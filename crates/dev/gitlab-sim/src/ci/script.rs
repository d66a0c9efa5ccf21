//! Scripts: a text, or a list of texts and lists, which GitLab flattens.

use super::error::{CiError, Place};
use super::yaml::Value;

/// How deep lists may be nested.
const DEPTH_LIMIT: u32 = 10;

/// The entries of a script. A text of several lines stays one entry.
pub(super) fn entries(place: &Place<'_>, value: &Value) -> Result<Vec<String>, CiError> {
    flattened(place, value, 0)
}

/// The names of a list that may be nested as scripts may.
pub(super) fn flattened_list(place: &Place<'_>, value: &Value) -> Result<Vec<String>, CiError> {
    match value {
        Value::List(_) => flattened(place, value, 0),
        other => Err(place.refuse(format!("is {}; write a list of texts", other.kind()))),
    }
}

fn flattened(place: &Place<'_>, value: &Value, depth: u32) -> Result<Vec<String>, CiError> {
    match value {
        Value::Text(text) => Ok(vec![text.clone()]),
        Value::List(_) if depth == DEPTH_LIMIT => {
            Err(place.refuse(format!("has lists in lists, more than {DEPTH_LIMIT} deep; flatten them")))
        }
        Value::List(items) => {
            let mut entries = Vec::new();
            for item in items {
                entries.extend(flattened(place, item, depth + 1)?);
            }
            Ok(entries)
        }
        // `- echo "a: b"` is a map to YAML, which everybody meets once.
        Value::Map(_) => Err(place.refuse("has a map where text must be; quote the whole entry, it contains a colon")),
        other => Err(place.refuse(format!("has {} where text must be; quote it", other.kind()))),
    }
}
