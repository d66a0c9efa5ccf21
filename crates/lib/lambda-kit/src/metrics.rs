//! Metrics: a line in CloudWatch's embedded metric format each, which Lambda's log turns into a metric without a call.

use runnerless_aws::book::Concluded;
use runnerless_core::id::{JobKey, LaunchId};
use serde_json::json;

use crate::function::now;

/// The namespace that the template's alarms look into.
pub const NAMESPACE: &str = "Runnerless";

/// Counts `value` more of `name` for the function `service`. `fields` are for people who read the line: ids, never
/// secrets or texts of others at length.
pub fn count(service: &'static str, name: &'static str, value: u64, fields: &serde_json::Value) {
    println!("{}", line(service, name, value, fields, now().0));
}

/// Counts what needs an operator, under its own name and under `Troubles`, which has the alarm.
pub fn trouble(service: &'static str, name: &'static str, value: u64, fields: &serde_json::Value) {
    count(service, name, value, fields);
    count(service, "Troubles", 1, &json!({"trouble": name}));
}

/// Counts a job that is unserved now, if concluding a launch left one.
pub fn concluded(service: &'static str, concluded: Concluded) {
    if let Concluded::LeavesUnserved(job) = concluded {
        count(service, "UnservedJobs", 1, &json!({"job.key": job}));
    }
}

/// Counts a launch that died with its job, with what became of that.
pub fn lost(service: &'static str, launch: &LaunchId, job: Option<JobKey>, what: &str) {
    count(service, "LaunchesLost", 1, &json!({"launch.id": launch, "job.key": job, "what": what}));
}

fn line(service: &str, name: &str, value: u64, fields: &serde_json::Value, at: i64) -> serde_json::Value {
    let mut line = json!({
        "_aws": {
            "Timestamp": at,
            "CloudWatchMetrics": [{
                "Namespace": NAMESPACE,
                // By function for people, and over all of them for alarms.
                "Dimensions": [["service"], []],
                "Metrics": [{"Name": name, "Unit": "Count"}],
            }],
        },
        "service": service,
    });
    line[name] = value.into();
    if let Some(fields) = fields.as_object() {
        for (key, value) in fields {
            line[key] = value.clone();
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_metric_with_its_dimension_and_fields() {
        let line = line("ingest", "BusRefusals", 2, &json!({"job.key": "1/2"}), 7);
        assert_eq!(line["BusRefusals"], 2);
        assert_eq!(line["service"], "ingest");
        assert_eq!(line["job.key"], "1/2");
        assert_eq!(line["_aws"]["CloudWatchMetrics"][0]["Metrics"][0]["Name"], "BusRefusals");
        assert_eq!(line["_aws"]["CloudWatchMetrics"][0]["Namespace"], NAMESPACE);
    }
}
