//! Variables of the file and of jobs.

use super::Variable;
use super::error::{CiError, Place};
use super::read;
use super::yaml::{Map, Value};

/// Whose variables they are, which decides what may stand beside a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    Pipeline,
    Job,
}

/// Reads a map of variables.
pub(super) fn variables(place: &Place<'_>, value: &Value, owner: Owner) -> Result<Vec<Variable>, CiError> {
    read::map(place, value)?.iter().map(|(key, value)| variable(place, key, value, owner)).collect()
}

/// Lets later variables override earlier ones, which keep their place.
pub(super) fn overridden(base: &[Variable], by: &[Variable]) -> Vec<Variable> {
    let mut all = base.to_vec();
    for variable in by {
        match all.iter_mut().find(|known| known.key == variable.key) {
            Some(known) => *known = variable.clone(),
            None => all.push(variable.clone()),
        }
    }
    all
}

/// The name of a variable: text, or a whole number.
pub(super) fn key(place: &Place<'_>, key: &Value) -> Result<String, CiError> {
    match key {
        Value::Text(text) if !text.is_empty() => Ok(text.clone()),
        Value::Int(number) => Ok(number.to_string()),
        other => Err(place.refuse(format!("has {} as the name of a variable; write text, in quotes", other.kind()))),
    }
}

fn variable(place: &Place<'_>, name: &Value, value: &Value, owner: Owner) -> Result<Variable, CiError> {
    let key = key(place, name)?;
    let place = place.below(&key);
    match value {
        Value::Map(map) => {
            let value = map.get("value").map_or(Ok(String::new()), |value| scalar(&place.below("value"), value))?;
            described(&place, map, &value, owner)?;
            let expand = map.get("expand").map_or(Ok(true), |expand| read::boolean(&place.below("expand"), expand))?;
            Ok(Variable { key, value, raw: !expand })
        }
        // As in GitLab: a variable without a value is an empty one.
        Value::Null => Ok(Variable { key, value: String::new(), raw: false }),
        other => Ok(Variable { key, value: scalar(&place, other)?, raw: false }),
    }
}

/// What may stand beside a value.
fn described(place: &Place<'_>, map: &Map, value: &str, owner: Owner) -> Result<(), CiError> {
    match owner {
        Owner::Job => return read::only_keys(place, map, &["value", "expand"]),
        Owner::Pipeline => read::only_keys(place, map, &["value", "description", "expand", "options"])?,
    }
    if let Some(description) = map.get("description")
        && description.scalar_text().is_none()
    {
        return Err(place.below("description").refuse("is not text; write one"));
    }
    if let Some(options) = map.get("options") {
        let place = place.below("options");
        let options = read::texts(&place, options)?;
        if !options.is_empty() && !options.iter().any(|option| option == value) {
            return Err(place.refuse(format!("does not have the value `{value}`; add it")));
        }
    }
    Ok(())
}

fn scalar(place: &Place<'_>, value: &Value) -> Result<String, CiError> {
    value.scalar_text().ok_or_else(|| place.refuse(format!("is {}; write text, a number or a boolean", value.kind())))
}
