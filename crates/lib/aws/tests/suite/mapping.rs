//! What every mapping does.

use runnerless_aws::ports::Mapping;
use runnerless_core::lane::{Engine, Lane, TagSet};
use runnerless_core::route::{LaneEntry, partitions};
use serde_json::{Value, json};

const ARN: &str = "arn:aws:lambda:eu-west-1:123456789012:function:f";

/// The table that the suite expects.
pub fn items() -> Vec<Value> {
    let mut items = vec![
        json!({"pk": "job#unit", "sk": "tags#a", "type": "LAMBDA", "arn": ARN}),
        json!({"pk": "job#unit", "sk": "tags#b", "type": "LAMBDA", "arn": ARN, "projects": ["x/y"], "note": 1}),
        json!({"pk": "job#unit: [1]", "sk": "tags#", "type": "LAMBDA", "arn": ARN}),
        json!({"pk": "job#unit 1/2", "sk": "tags#a", "type": "LAMBDA", "arn": ARN}),
        json!({"pk": "job#other", "sk": "tags#a", "type": "LAMBDA", "arn": ARN}),
        json!({"pk": "job#Unit", "sk": "tags#a", "type": "LAMBDA", "arn": ARN}),
        json!({"pk": "job#sch\u{f6}n # \u{1f980}", "sk": "tags#a", "type": "LAMBDA", "arn": ARN}),
        json!({"pk": "job#broken", "sk": "tags#a", "type": "ROCKET"}),
        json!({"pk": "job#broken", "sk": "no tags", "type": "LAMBDA", "arn": ARN}),
        json!({"pk": "job#broken", "sk": "tags#c", "type": "EC2", "owner": null}),
        json!({"pk": "pattern", "sk": "tags#a##deploy*", "type": "LAMBDA", "arn": ARN}),
        json!({"pk": "pattern", "sk": "tags#a##broken", "type": "LAMBDA"}),
        json!({"pk": "lanes", "sk": "tags#a", "type": "LAMBDA", "target": ARN, "run_untagged": false}),
        json!({"pk": "lanes", "sk": "tags#", "type": "LAMBDA", "target": ARN, "tenancy": true}),
        json!({"pk": "lanes", "sk": "tags#z", "type": "ROCKET", "target": ARN}),
        json!({"pk": "lanes", "sk": "tags#y", "type": "LAMBDA"}),
        json!({"pk": "lanesmen", "sk": "tags#x", "type": "LAMBDA", "target": ARN}),
    ];
    // More than one page of DynamoDB's megabyte, of each kind.
    let long = "x".repeat(300_000);
    for n in 0..5 {
        let row = |pk: &str, sk: String| json!({"pk": pk, "sk": sk, "type": "LAMBDA", "arn": ARN, "target": ARN, "note": long});
        items.push(row("job#many", format!("tags#t{n}")));
        items.push(row("pattern", format!("tags#t{n}##many*")));
        items.push(row("lanes", format!("tags#t{n}")));
    }
    items
}

/// Runs the suite on a table that holds [`items`].
pub async fn all(mapping: &impl Mapping) {
    let of = async |job: &str| {
        let mut rows = Vec::new();
        for partition in partitions(job) {
            rows.extend(mapping.rows(&partition).await.unwrap());
        }
        rows
    };
    let names = async |job: &str| {
        let rows = of(job).await;
        let mut names: Vec<String> = rows
            .into_iter()
            .map(|row| row.map_or_else(|bad| format!("bad {}", bad.row), |row| row.to_string()))
            .filter(|name| !name.starts_with("pattern tags#t"))
            .collect();
        names.sort();
        names
    };
    let patterns = ["bad pattern tags#a##broken", "pattern tags#a##deploy*"];
    let with = |own: &[&str]| {
        let mut names: Vec<String> = own.iter().chain(&patterns).map(|name| (*name).to_owned()).collect();
        names.sort();
        names
    };
    let units = ["job#unit tags#a", "job#unit tags#b"];
    assert_eq!(names("unit").await, with(&units));
    assert_eq!(names("unit: [1]").await, with(&[&units[..], &["job#unit: [1] tags#"]].concat()), "and its base name's");
    assert_eq!(names("unit 1/2").await, with(&[&units[..], &["job#unit 1/2 tags#a"]].concat()));
    assert_eq!(names("unit 2/2").await, with(&units));
    assert_eq!(names("Unit").await, with(&["job#Unit tags#a"]), "capitals are other letters");
    assert_eq!(names("sch\u{f6}n # \u{1f980}").await, with(&["job#sch\u{f6}n # \u{1f980} tags#a"]));
    for nothing in ["nothing", "", "uni", "unit ", "many*", "lanes"] {
        assert_eq!(names(nothing).await, with(&[]), "{nothing}");
    }
    // A row that cannot be read is told of, for the full name and for the base name: it is worth an alarm.
    let broken = ["bad job#broken no tags", "bad job#broken tags#a", "job#broken tags#c"];
    assert_eq!(names("broken").await, with(&broken));
    assert_eq!(names("broken 1/9").await, with(&broken));
    assert_eq!(names("many").await.len(), 2 + 5, "every page");
    let rows = of("unit").await;
    assert_eq!(rows.len(), units.len() + patterns.len() + 5, "every page of the patterns");
    let noted = rows.iter().flatten().find(|row| row.extra.contains_key("note") && row.pk() == "job#unit");
    let noted = noted.expect("what this version does not know is kept");
    assert_eq!((noted.scope.projects[..].to_vec(), &noted.extra["note"]), (vec!["x/y".to_owned()], &json!(1)));
    lanes(mapping).await;
}

/// Entries that cannot be read are said to be there: a lane that is not known is not gone.
async fn lanes(mapping: &impl Mapping) {
    let lanes = mapping.lanes().await.unwrap();
    assert_eq!(lanes.iter().filter(|entry| entry.is_err()).count(), 2);
    let lanes: Vec<LaneEntry> = lanes.into_iter().flatten().collect();
    assert_eq!(lanes.len(), 2 + 5, "every page");
    let lane = |tags: &[&str], run_untagged, tenancy| LaneEntry {
        lane: Lane { tags: TagSet::new(tags).unwrap(), engine: Engine::Lambda, target: ARN.to_owned(), run_untagged },
        tenancy,
    };
    for wanted in [lane(&["a"], false, None), lane(&[], true, Some(true)), lane(&["t4"], false, None)] {
        assert!(lanes.contains(&wanted), "{wanted:?}");
    }
}

/// A table that cannot be read is no empty table.
pub async fn that_fails(mapping: &impl Mapping) {
    let error = mapping.rows("job#unit").await.unwrap_err();
    assert!(["Mapping.Unavailable", "Mapping.Refused"].contains(&error.name()), "{error:?}");
    let error = mapping.lanes().await.unwrap_err();
    assert!(["Mapping.Unavailable", "Mapping.Refused"].contains(&error.name()), "{error:?}");
}
