//! Reading JSON that a newer or older GitLab wrote: null for absent, a number or a flag where a text is expected.

use serde::{Deserialize, Deserializer, de};
use serde_json::Value;

/// Null or absent becomes the type's default (use with `#[serde(default)]`).
pub(super) fn nullable<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// A list that may be null, and whose null entries are left out.
pub(super) fn list<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    let entries = Option::<Vec<Option<T>>>::deserialize(deserializer)?.unwrap_or_default();
    Ok(entries.into_iter().flatten().collect())
}

/// A text; null is empty, numbers and flags are written out.
pub(super) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Null => Ok(String::new()),
        Value::String(text) => Ok(text),
        Value::Bool(flag) => Ok(flag.to_string()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Array(_) | Value::Object(_) => Err(de::Error::custom("expected a text, found a list or an object")),
    }
}

/// A whole number that may come as a float, as a text or not at all.
pub(super) fn integer<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    let number = match Value::deserialize(deserializer)? {
        Value::Number(number) => number.as_i64().or_else(|| number.as_f64().and_then(whole)),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    Ok(number)
}

/// The whole part of a float that an `i64` holds.
fn whole(number: f64) -> Option<i64> {
    // Through the text form: a cast would saturate silently.
    format!("{:.0}", number.trunc()).parse().ok()
}
