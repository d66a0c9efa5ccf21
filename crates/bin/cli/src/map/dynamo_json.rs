//! DynamoDB's JSON, in which each value names its type: `{"S": "text"}`, `{"N": "1"}`, `{"L": [..]}`.

use runnerless_core::change::Item;
use serde_json::{Number, Value};

/// A row as plain JSON.
///
/// # Errors
/// The attribute that is no DynamoDB value.
pub(crate) fn plain_item(object: &Item) -> Result<Item, String> {
    object.iter().map(|(name, value)| Ok((name.clone(), plain(value).ok_or_else(|| name.clone())?))).collect()
}

/// Whether an object looks like a row of DynamoDB's JSON: its key does.
pub(crate) fn is_typed(object: &Item) -> bool {
    object.get("pk").is_some_and(|pk| pk.get("S").is_some())
}

fn plain(value: &Value) -> Option<Value> {
    let object = value.as_object().filter(|object| object.len() == 1)?;
    let (kind, inner) = object.iter().next()?;
    match kind.as_str() {
        "S" => inner.as_str().map(Value::from),
        "N" => number(inner),
        "BOOL" => inner.as_bool().map(Value::from),
        "NULL" => Some(Value::Null),
        "L" => inner.as_array()?.iter().map(plain).collect::<Option<Vec<_>>>().map(Value::from),
        "M" => plain_item(inner.as_object()?).ok().map(Value::Object),
        "SS" => inner.as_array().filter(|texts| texts.iter().all(Value::is_string)).cloned().map(Value::from),
        "NS" => inner.as_array()?.iter().map(number).collect::<Option<Vec<_>>>().map(Value::from),
        _ => None,
    }
}

fn number(text: &Value) -> Option<Value> {
    text.as_str()?.parse::<Number>().ok().map(Value::Number)
}
