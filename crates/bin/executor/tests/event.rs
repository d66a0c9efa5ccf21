//! The event's three descriptions, the schema, the examples and the reader, say the same.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use runnerless_core::event::LaunchEvent;
use serde_json::{Map, Value, json};

const SCHEMA: &str = include_str!("../../../../docs/lambda-event.schema.json");
const PAGE: &str = include_str!("../../../../docs/lambda-event.md");
const LAUNCH: &str = include_str!("../../../../events/executor/launch.json");
const SENTINEL: &str = include_str!("../../../../events/executor/sentinel.json");

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// Checks a value against the part of JSON Schema that our schema uses; another keyword is an error of the test.
fn check(schema: &Value, value: &Value) -> Result<(), String> {
    for (keyword, rule) in schema.as_object().unwrap() {
        let holds = match keyword.as_str() {
            "$schema" | "title" | "description" => true,
            "const" => value == rule,
            "type" => names(rule).any(|name| has_type(name, value)),
            "minLength" => value.as_str().is_none_or(|text| text.len() as u64 >= rule.as_u64().unwrap()),
            "maxLength" => value.as_str().is_none_or(|text| text.len() as u64 <= rule.as_u64().unwrap()),
            "minimum" => value.as_i64().is_none_or(|number| number >= rule.as_i64().unwrap()),
            "required" => value.as_object().is_none_or(|object| names(rule).all(|name| object.contains_key(name))),
            "properties" => {
                let empty = Map::new();
                let object = value.as_object().unwrap_or(&empty);
                for (name, part) in rule.as_object().unwrap() {
                    object.get(name).map_or(Ok(()), |value| check(part, value))?;
                }
                true
            }
            other => panic!("the schema uses {other}, which this test does not know"),
        };
        if !holds {
            return Err(format!("{value} breaks {keyword} {rule}"));
        }
    }
    Ok(())
}

/// A text, or the texts of a list.
fn names(rule: &Value) -> impl Iterator<Item = &str> {
    let one = rule.as_str();
    let many = rule.as_array().into_iter().flatten().map(|name| name.as_str().unwrap());
    one.into_iter().chain(many)
}

fn has_type(name: &str, value: &Value) -> bool {
    match name {
        "object" => value.is_object(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "null" => value.is_null(),
        other => panic!("the schema uses the type {other}, which this test does not know"),
    }
}

#[test]
fn the_examples_fit_the_schema_and_are_what_the_router_writes() {
    for example in [LAUNCH, SENTINEL] {
        let example = parsed(example);
        check(&parsed(SCHEMA), &example).unwrap();
        let event = LaunchEvent::read(&example).unwrap();
        let written = serde_json::to_value(&event).unwrap();
        assert_eq!(written, example);
    }
}

#[test]
fn schema_and_reader_refuse_the_same() {
    let schema = parsed(SCHEMA);
    let mut wrong = Vec::new();
    for field in ["v", "launch", "nonce", "lane", "gitlab_url", "claim_function", "deadline_ms", "wait_s"] {
        let mut without = parsed(LAUNCH);
        without.as_object_mut().unwrap().remove(field);
        wrong.push((field, without));
        let mut null = parsed(LAUNCH);
        null[field] = Value::Null;
        wrong.push((field, null));
    }
    for (field, value) in [
        ("v", json!(2)),
        ("launch", json!("")),
        ("nonce", json!(1)),
        ("deadline_ms", json!("soon")),
        ("wait_s", json!(-1)),
        ("job_hint", json!({"project_id": 1})),
        ("job_hint", json!({"project_id": "1", "job_id": 2})),
        ("job_hint", json!("unit")),
    ] {
        let mut event = parsed(LAUNCH);
        event[field] = value;
        wrong.push((field, event));
    }
    for (field, event) in wrong {
        assert!(check(&schema, &event).is_err(), "the schema takes a wrong {field}: {event}");
        assert!(LaunchEvent::read(&event).is_err(), "the reader takes a wrong {field}: {event}");
    }
    let mut newer = parsed(LAUNCH);
    newer["of_tomorrow"] = json!(1);
    check(&schema, &newer).unwrap();
    LaunchEvent::read(&newer).unwrap();
}

#[test]
fn the_page_names_every_field_and_shows_an_event_that_fits() {
    for (field, _) in parsed(SCHEMA)["properties"].as_object().unwrap() {
        assert!(PAGE.contains(&format!("| `{field}` |")), "{field} is missing in the page's table");
    }
    let (_, rest) = PAGE.split_once("```json\n").unwrap();
    let (example, _) = rest.split_once("```").unwrap();
    check(&parsed(SCHEMA), &parsed(example)).unwrap();
}
