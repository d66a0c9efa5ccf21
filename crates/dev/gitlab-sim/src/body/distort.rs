//! Bodies that keep to the contract and to no habit (contract, sections 3.3, 7 and 8).
//!
//! None changes what the job is: a runner that reads the contract and not the examples runs it to the same end.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value, json};

/// Keys of `job_info` that are as old as the object.
const OLD_JOB_INFO: [&str; 4] = ["name", "stage", "project_id", "project_name"];

/// One way to write a body; the order is the one in which several are applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Distortion {
    /// Before every variable comes another one of its name, which does not count.
    DuplicateVariables,
    /// Words that nobody knows where GitLab has a list of words: types, conditions, policies, reasons.
    UnknownEnums,
    /// Steps of unknown names, with nothing to do.
    UnknownSteps,
    /// More keys in every object.
    UnknownKeys,
    /// What is empty, false or new in GitLab is left out.
    MissingKeys,
    /// Empty arrays are null.
    NullArrays,
    /// Numbers that are no ids are written as floats.
    FloatsForInts,
}

/// The body, distorted.
pub(super) fn distort(body: &mut Value, how: &[Distortion]) {
    let mut how = how.to_vec();
    how.sort_unstable();
    how.dedup();
    for distortion in how {
        match distortion {
            Distortion::DuplicateVariables => duplicate_variables(body),
            Distortion::UnknownEnums => unknown_enums(body),
            Distortion::UnknownSteps => unknown_steps(body),
            Distortion::UnknownKeys => unknown_keys(body),
            Distortion::MissingKeys => missing_keys(body),
            Distortion::NullArrays => null_arrays(body),
            Distortion::FloatsForInts => floats_for_ints(body),
        }
    }
}

fn duplicate_variables(body: &mut Value) {
    let Some(variables) = body["variables"].as_array_mut() else { return };
    let earlier = |(at, variable): (usize, &Value)| {
        let value = if at % 2 == 0 { json!("of an earlier one") } else { Value::Null };
        json!({"key": variable["key"], "value": value, "public": false, "masked": false, "file": at % 3 == 0, "raw": true})
    };
    let mut all: Vec<Value> = variables.iter().enumerate().map(earlier).collect();
    all.append(variables);
    *variables = all;
}

fn unknown_enums(body: &mut Value) {
    body["git_info"]["ref_type"] = json!("constellation");
    for key in ["steps", "hooks"] {
        for step in body[key].as_array_mut().into_iter().flatten() {
            step["when"] = json!("on_full_moon");
        }
    }
    for image in body["services"].as_array_mut().into_iter().flatten() {
        image["pull_policy"] = json!(["by_pigeon"]);
    }
    if body["image"].is_object() {
        body["image"]["pull_policy"] = json!(["by_pigeon", "always"]);
    }
    append(&mut body["credentials"], json!({"type": "palm_reader", "url": "hand", "username": "x", "password": "y"}));
    append(&mut body["inputs"], json!({"key": "nobody_asks", "value": {"content": [1, 2.5], "type": "quaternion"}}));
    append(&mut body["features"]["failure_reasons"], json!("solar_flare"));
    body["policy_options"] = json!({"execution_policy_job": true, "policy": "later"});
}

fn append(list: &mut Value, item: Value) {
    if let Some(items) = list.as_array_mut() {
        items.push(item);
    }
}

fn unknown_steps(body: &mut Value) {
    let Some(steps) = body["steps"].as_array_mut().filter(|steps| !steps.is_empty()) else { return };
    steps.insert(
        1,
        json!({"name": "polish", "script": [], "timeout": 60, "when": "on_success", "allow_failure": false}),
    );
    steps.push(json!({"name": "varnish", "script": null}));
}

fn unknown_keys(value: &mut Value) {
    each_child(value, unknown_keys);
    if let Value::Object(object) = value {
        object.insert("x_of_tomorrow".to_owned(), json!({"deep": [1, null, {"Ü": -1.5e300}], "name": 7}));
    }
}

fn missing_keys(body: &mut Value) {
    keep(&mut body["job_info"], |key, _| OLD_JOB_INFO.contains(&key));
    keep(&mut body["git_info"], |key, value| key != "protected" && !(key == "repo_object_format" && value == "sha1"));
    for step in body["steps"].as_array_mut().into_iter().flatten() {
        keep(step, |key, _| matches!(key, "name" | "script"));
    }
    for variable in body["variables"].as_array_mut().into_iter().flatten() {
        keep(variable, |_, value| value != &Value::Bool(false));
    }
    drop_empty(body);
}

fn keep(value: &mut Value, wanted: impl Fn(&str, &Value) -> bool) {
    if let Value::Object(object) = value {
        object.retain(|key, value| wanted(key, value));
    }
}

fn drop_empty(value: &mut Value) {
    each_child(value, drop_empty);
    let empty = |value: &Value| match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(object) => object.is_empty(),
        _ => false,
    };
    keep(value, |_, value| !empty(value));
}

fn null_arrays(value: &mut Value) {
    each_child(value, null_arrays);
    if value.as_array().is_some_and(Vec::is_empty) {
        *value = Value::Null;
    }
}

/// Ids stay whole: they become parts of URLs, and no GitLab writes them otherwise.
fn floats_for_ints(value: &mut Value) {
    match value {
        Value::Object(object) => object.iter_mut().filter(|(key, _)| !is_id(key)).for_each(|(_, v)| floats_for_ints(v)),
        Value::Array(items) => items.iter_mut().for_each(floats_for_ints),
        Value::Number(number) if !number.is_f64() => {
            if let Some(float) = number.as_f64().and_then(Number::from_f64) {
                *number = float;
            }
        }
        _ => {}
    }
}

fn is_id(key: &str) -> bool {
    key == "id" || key.ends_with("_id")
}

fn each_child(value: &mut Value, change: fn(&mut Value)) {
    match value {
        Value::Object(object) => object_values(object).for_each(change),
        Value::Array(items) => items.iter_mut().for_each(change),
        _ => {}
    }
}

fn object_values(object: &mut Map<String, Value>) -> impl Iterator<Item = &mut Value> {
    object.iter_mut().map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn distorted(mut body: Value, how: &[Distortion]) -> Value {
        distort(&mut body, how);
        body
    }

    #[test]
    fn the_order_of_the_wish_does_not_matter() {
        let body = json!({"steps": [{"name": "script", "script": ["x"], "timeout": 60}], "variables": [], "job_info": {},
                          "git_info": {"depth": 20}, "inputs": []});
        let all = [
            Distortion::NullArrays,
            Distortion::FloatsForInts,
            Distortion::UnknownSteps,
            Distortion::UnknownKeys,
            Distortion::MissingKeys,
            Distortion::UnknownEnums,
            Distortion::DuplicateVariables,
        ];
        let mut turned = all.to_vec();
        turned.reverse();
        assert_eq!(distorted(body.clone(), &all), distorted(body, &turned));
    }

    #[test]
    fn a_body_without_the_parts_stays_readable() {
        for body in [json!({"steps": null, "variables": null}), json!({"run": "[]"})] {
            let out =
                distorted(body, &[Distortion::UnknownSteps, Distortion::DuplicateVariables, Distortion::MissingKeys]);
            assert!(out.get("steps").is_none_or(Value::is_null), "{out}");
        }
    }
}
