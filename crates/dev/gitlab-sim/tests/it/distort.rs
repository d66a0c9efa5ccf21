//! Every way to write a 201 body that the contract allows: the job stays the same one.

use serde_json::{Value, json};

use crate::bench::Bench;

const JOB: &str = "variables:\n  GREETING: hi\njob:\n  script: [echo hi]\n  after_script: [echo bye]\n  image: alpine\n  \
                   services: [redis]\n";

/// The body of a job under these distortions.
async fn body(how: &[&str]) -> Value {
    let bench = Bench::start().await;
    bench.settings(json!({"distort": how})).await;
    let project = bench.project("acme/widget", JOB).await;
    bench.pipeline(project).await;
    let job = bench.any_runner().await.take().await;
    assert_eq!(job.end("success").await.status, 200, "id and token are what they were");
    job.body
}

/// The last value of every variable.
fn value(body: &Value, key: &str) -> Value {
    let all = body["variables"].as_array().unwrap();
    all.iter().rfind(|variable| variable["key"] == key).map_or(Value::Null, |variable| variable["value"].clone())
}

fn find(value: &Value, wanted: &dyn Fn(&Value) -> bool) -> bool {
    wanted(value)
        || match value {
            Value::Array(items) => items.iter().any(|item| find(item, wanted)),
            Value::Object(object) => object.values().any(|item| find(item, wanted)),
            _ => false,
        }
}

#[tokio::test]
async fn empty_arrays_are_null() {
    let body = body(&["null_arrays"]).await;
    for key in ["inputs", "hooks", "cache", "credentials", "dependencies"] {
        assert_eq!(body.get(key), Some(&Value::Null), "{key}");
    }
    assert!(!find(&body, &|value| value == &json!([])));
}

#[tokio::test]
async fn what_is_empty_or_new_is_missing() {
    let body = body(&["missing_keys"]).await;
    for key in ["inputs", "hooks", "cache", "credentials", "dependencies", "artifacts"] {
        assert_eq!(body.get(key), None, "{key}");
    }
    assert!(!find(&body, &Value::is_null));
    assert_eq!(body["job_info"], json!({"name": "job", "stage": "test", "project_id": 381, "project_name": "Widget"}));
    assert_eq!(body["steps"][0], json!({"name": "script", "script": ["echo hi"]}));
    assert!(body["variables"].as_array().unwrap().iter().all(|variable| variable["masked"] != false));
}

#[tokio::test]
async fn every_variable_is_there_twice_and_the_last_counts() {
    let body = body(&["duplicate_variables"]).await;
    let all = body["variables"].as_array().unwrap();
    let (first, last) = all.split_at(all.len() / 2);
    assert!(first.iter().zip(last).all(|(first, last)| first["key"] == last["key"] && first["value"] != last["value"]));
    assert!(first.iter().any(|variable| variable["value"].is_null()) && first.iter().any(|v| v["file"] == true));
    assert_eq!(value(&body, "GREETING"), "hi");
    assert_eq!(value(&body, "CI_JOB_TOKEN"), body["token"]);
}

#[tokio::test]
async fn words_steps_and_keys_that_nobody_knows() {
    let words = body(&["unknown_enums"]).await;
    assert_eq!(
        (&words["git_info"]["ref_type"], &words["steps"][0]["when"]),
        (&json!("constellation"), &json!("on_full_moon"))
    );
    assert_eq!(words["image"]["pull_policy"][0], "by_pigeon");
    assert!(words["features"]["failure_reasons"].as_array().unwrap().contains(&json!("solar_flare")));
    let steps = body(&["unknown_steps"]).await;
    let names: Vec<&Value> = steps["steps"].as_array().unwrap().iter().map(|step| &step["name"]).collect();
    assert_eq!(names, ["script", "polish", "after_script", "varnish"]);
    let keys = body(&["unknown_keys"]).await;
    let lacks = |value: &Value| value.is_object() && value.get("x_of_tomorrow").is_none();
    for part in [&keys, &keys["git_info"], &keys["steps"][0], &keys["variables"][0], &keys["features"], &keys["image"]]
    {
        assert!(!lacks(part), "{part}");
    }
}

#[tokio::test]
async fn numbers_are_floats_and_ids_are_not() {
    let body = body(&["floats_for_ints"]).await;
    assert!(body["id"].is_u64() && body["job_info"]["project_id"].is_u64() && body["job_info"]["pipeline_id"].is_u64());
    assert!(body["runner_info"]["timeout"].is_f64() && body["git_info"]["depth"].is_f64());
    assert!(body["steps"][0]["timeout"].is_f64());
}
