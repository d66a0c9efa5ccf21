//! Variables as callers write them: a list of objects, or an object of texts or objects.

use serde_json::{Map, Value};

use crate::server::request::{flag, text};
use crate::world::spec::Variable;

/// Reads them; none when the value is absent.
///
/// # Errors
/// What is wrong, with the variable's name.
pub(crate) fn read(value: Option<&Value>) -> Result<Vec<Variable>, String> {
    match value {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(items)) => items.iter().map(item).collect(),
        Some(Value::Object(object)) => object.iter().map(|(key, value)| entry(key, value)).collect(),
        Some(_) => Err("variables must be a list or an object".to_owned()),
    }
}

fn item(value: &Value) -> Result<Variable, String> {
    let object = value.as_object().ok_or("variables: each must be an object with key and value")?;
    let key = text(object, "key").ok_or("variables: each must have a key")?;
    fields(&key, object)
}

fn entry(key: &str, value: &Value) -> Result<Variable, String> {
    match value {
        Value::Object(object) => fields(key, object),
        Value::String(text) => Ok(Variable::public(key, text.as_str())),
        Value::Number(_) | Value::Bool(_) => Ok(Variable::public(key, value.to_string())),
        _ => Err(format!("variable {key}: its value must be a text or an object with value")),
    }
}

fn fields(key: &str, object: &Map<String, Value>) -> Result<Variable, String> {
    let valid = !key.is_empty() && key.chars().all(|c| c == '_' || c.is_ascii_alphanumeric());
    if !valid {
        return Err(format!("variable {key:?}: its name must be made of letters, digits and _"));
    }
    let is = |name: &str| flag(object, name).unwrap_or(false);
    let file = is("file") || object.get("variable_type").is_some_and(|kind| kind == "file");
    Ok(Variable {
        key: key.to_owned(),
        value: text(object, "value").unwrap_or_default(),
        public: flag(object, "public").unwrap_or(false),
        masked: is("masked"),
        file,
        raw: is("raw"),
        protected: is("protected"),
    })
}
