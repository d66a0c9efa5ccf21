//! What the mapping's adapter does; the stand-in is made of rows and needs no table.

use runnerless_aws::ports::Mapping;
use serde_json::{Value, json};

const ARN: &str = "arn:aws:lambda:eu-west-1:123456789012:function:f";

/// The table that the suite expects.
pub fn items() -> Vec<Value> {
    let mut items = vec![
        json!({"pk": "job#unit", "sk": "tags#a", "type": "LAMBDA", "arn": ARN}),
        json!({"pk": "job#unit", "sk": "tags#b", "type": "LAMBDA", "arn": ARN, "projects": ["x/y"], "note": 1}),
        json!({"pk": "job#unit: [1]", "sk": "tags#", "type": "LAMBDA", "arn": ARN}),
        json!({"pk": "job#other", "sk": "tags#a", "type": "LAMBDA", "arn": ARN}),
        json!({"pk": "job#broken", "sk": "tags#a", "type": "ROCKET"}),
        json!({"pk": "pattern", "sk": "tags#a##deploy*", "type": "LAMBDA", "arn": ARN}),
        json!({"pk": "lanes", "sk": "tags#a", "type": "LAMBDA", "target": ARN, "run_untagged": false}),
        json!({"pk": "lanes", "sk": "tags#b", "type": "LAMBDA", "target": ARN}),
        json!({"pk": "lanes", "sk": "tags#z", "type": "ROCKET", "target": ARN}),
    ];
    // More than one page of DynamoDB's megabyte.
    let long = "x".repeat(300_000);
    items
        .extend((0..5).map(
            |n| json!({"pk": "job#many", "sk": format!("tags#t{n}"), "type": "LAMBDA", "arn": ARN, "note": long}),
        ));
    items
}

/// Runs the suite on a table that holds [`items`].
pub async fn all(mapping: &impl Mapping) {
    let names = async |job: &str| {
        let rows = mapping.rows(job).await.unwrap();
        let mut names: Vec<String> = rows
            .into_iter()
            .map(|row| row.map_or_else(|bad| format!("bad {}", bad.row), |row| row.to_string()))
            .collect();
        names.sort();
        names
    };
    let pattern = "pattern tags#a##deploy*";
    assert_eq!(names("unit").await, ["job#unit tags#a", "job#unit tags#b", pattern]);
    assert_eq!(names("unit: [1]").await, ["job#unit tags#a", "job#unit tags#b", "job#unit: [1] tags#", pattern]);
    assert_eq!(names("broken").await, ["bad job#broken tags#a", pattern]);
    assert_eq!(names("nothing").await, [pattern]);
    assert_eq!(names("many").await.len(), 6, "every page");
    assert_eq!(mapping.lanes().await.unwrap().len(), 2, "an entry that cannot be read is left out");
}
