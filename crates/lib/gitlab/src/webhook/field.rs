//! One field of a hook's body, whatever wrote it.

use std::fmt;

use runnerless_core::time::Timestamp;
use serde_json::Value;

/// The largest whole number that every float below it can be told from.
const EXACT_FLOAT: f64 = 9_007_199_254_740_992.0;

/// What is wrong with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// It is not there, null or empty.
    Missing,
    /// It must be a JSON object.
    NotAnObject,
    /// It must be a text.
    NotText,
    /// It must be a positive whole number.
    NotAnId,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "is missing or empty",
            Self::NotAnObject => "is not a JSON object",
            Self::NotText => "is not a text",
            Self::NotAnId => "is not a positive whole number",
        })
    }
}

/// A text that is not empty.
pub(super) fn text(value: &Value) -> Result<&str, Wrong> {
    match value {
        Value::Null => Err(Wrong::Missing),
        Value::String(text) if text.is_empty() => Err(Wrong::Missing),
        Value::String(text) => Ok(text),
        _ => Err(Wrong::NotText),
    }
}

/// An id: 64 bits, also written as a float without a fraction.
pub(super) fn id(value: &Value) -> Result<u64, Wrong> {
    if value.is_null() {
        return Err(Wrong::Missing);
    }
    whole(value).filter(|number| *number > 0).ok_or(Wrong::NotAnId)
}

/// A whole number that is not negative.
pub(super) fn whole(value: &Value) -> Option<u64> {
    let number = value.as_number()?;
    number.as_u64().or_else(|| {
        let float = number.as_f64().filter(|float| float.fract() == 0.0 && (0.0..EXACT_FLOAT).contains(float))?;
        // Through the text form: a cast would cut silently.
        format!("{float:.0}").parse().ok()
    })
}

/// A time: `2026-09-14 08:15:30 UTC` as hooks have it, or ISO 8601 as "Test" deliveries and newer fields have it.
pub(crate) fn time(value: &Value) -> Option<Timestamp> {
    let text = value.as_str()?;
    let text = text.strip_suffix(" UTC").map_or_else(|| text.to_owned(), |time| format!("{time}Z"));
    let time: jiff::Timestamp = text.parse().ok()?;
    Some(Timestamp(time.as_millisecond()))
}

/// A member of an object that is neither absent nor null.
pub(super) fn object<'a>(value: &'a Value, member: &str) -> Option<&'a Value> {
    value.get(member).filter(|value| !value.is_null())
}

/// At most so many characters.
pub(super) fn cut(text: &str, chars: usize) -> String {
    text.chars().take(chars).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_are_whole_or_nothing() {
        for (value, number) in [
            (json!(7), Some(7)),
            (json!(u64::MAX), Some(u64::MAX)),
            (json!(7.0), Some(7)),
            (json!(3e9), Some(3_000_000_000)),
            (json!(0), Some(0)),
            (json!(7.5), None),
            (json!(-7), None),
            (json!(-0.5), None),
            (json!(1e300), None),
            (json!("7"), None),
            (json!(null), None),
        ] {
            assert_eq!(whole(&value), number, "{value}");
        }
        assert_eq!((id(&json!(0)), id(&json!(null))), (Err(Wrong::NotAnId), Err(Wrong::Missing)));
    }
}
