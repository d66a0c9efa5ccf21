//! Typed values out of a map, with errors that name their place.

use super::error::{CiError, Place};
use super::yaml::{Map, Value};

/// A map.
pub(super) fn map<'v>(place: &Place<'_>, value: &'v Value) -> Result<&'v Map, CiError> {
    match value {
        Value::Map(map) => Ok(map),
        other => Err(place.refuse(format!("is {}; write a map", other.kind()))),
    }
}

/// Text that is not blank.
pub(super) fn text(place: &Place<'_>, value: &Value) -> Result<String, CiError> {
    match value {
        Value::Text(text) if !text.trim().is_empty() => Ok(text.clone()),
        Value::Text(_) => Err(place.refuse("is blank; write a text")),
        other => Err(place.refuse(format!("is {}; write a text, in quotes if need be", other.kind()))),
    }
}

/// A list of texts.
pub(super) fn texts(place: &Place<'_>, value: &Value) -> Result<Vec<String>, CiError> {
    match value {
        Value::List(items) => items.iter().map(|item| text(place, item)).collect(),
        other => Err(place.refuse(format!("is {}; write a list of texts", other.kind()))),
    }
}

/// A boolean.
pub(super) fn boolean(place: &Place<'_>, value: &Value) -> Result<bool, CiError> {
    match value {
        Value::Bool(value) => Ok(*value),
        other => Err(place.refuse(format!("is {}; write `true` or `false` without quotes", other.kind()))),
    }
}

/// A whole number between two others.
pub(super) fn whole(place: &Place<'_>, value: &Value, least: u32, most: u32) -> Result<u32, CiError> {
    let number = match value {
        Value::Int(number) => u32::try_from(*number).ok().filter(|number| (least..=most).contains(number)),
        _ => None,
    };
    number
        .ok_or_else(|| place.refuse(format!("is not a whole number from {least} to {most}; write one, without quotes")))
}

/// One item or a list of them.
pub(super) fn one_or_more(value: &Value) -> &[Value] {
    match value {
        Value::List(items) => items,
        one => std::slice::from_ref(one),
    }
}

/// Lets only these keys pass.
pub(super) fn only_keys(place: &Place<'_>, map: &Map, allowed: &[&str]) -> Result<(), CiError> {
    for (key, _) in map.iter() {
        let key = key.scalar_text().unwrap_or_else(|| key.kind().to_owned());
        if !allowed.contains(&key.as_str()) {
            let allowed = allowed.join("`, `");
            return Err(place.below(&key).refuse(format!("is not supported; remove it (known: `{allowed}`)")));
        }
    }
    Ok(())
}
