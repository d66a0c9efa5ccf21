//! Metrics: a line in CloudWatch's embedded metric format each, which Lambda's log turns into a metric without a call.

use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::OnceLock;

use runnerless_aws::book::Concluded;
use runnerless_core::id::{JobKey, LaunchId};
use serde_json::{Value, json};

use crate::function::now;

/// The namespace that the template's alarms look into.
pub const NAMESPACE: &str = "Runnerless";

/// What takes the counts instead of the log.
pub type Sink = fn(service: &'static str, name: &'static str, value: u64);

static SINK: OnceLock<Sink> = OnceLock::new();

/// From now on this process hands its counts to `sink` and prints none: for a simulated world, whose functions share a
/// process. The first one counts.
pub fn divert(sink: Sink) {
    let _ = SINK.set(sink);
}

/// Counts `value` more of `name` for the function `service`. `fields` are for people who read the line: ids, never
/// secrets or texts of others at length.
pub fn count(service: &'static str, name: &'static str, value: u64, fields: &serde_json::Value) {
    match SINK.get() {
        Some(sink) => sink(service, name, value),
        None => print(service, name, value, fields),
    }
}

fn print(service: &str, name: &str, value: u64, fields: &Value) {
    let line = line(service, name, value, fields, now().0);
    // One write for the whole line. A log that nobody takes is no reason to fail a call.
    let _ = std::io::stdout().lock().write_all(line.as_bytes());
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

/// Counts a runner that may be left at GitLab, and that the function `service` cannot delete; `why` has its name or id.
pub fn unaccounted(service: &'static str, why: &str) {
    trouble(service, "RunnersUnaccounted", 1, &json!({"why": why}));
}

/// Says what the function `service` measured of one thing, such as a pool: by function and that thing, so that several of
/// them in an account stay apart. `fields` as for [`count`].
pub fn measure(service: &'static str, of: (&'static str, &str), values: &[(&'static str, u64)], fields: &Value) {
    match SINK.get() {
        Some(sink) => values.iter().for_each(|(name, value)| sink(service, name, *value)),
        None => {
            let line = measured(service, of, values, fields, now().0);
            // As above.
            let _ = std::io::stdout().lock().write_all(line.as_bytes());
        }
    }
}

/// One line for all of them.
fn measured(
    service: &str,
    (kind, name): (&str, &str),
    values: &[(&'static str, u64)],
    fields: &Value,
    at: i64,
) -> String {
    let names: Vec<Value> = values.iter().map(|(name, _)| json!({"Name": name, "Unit": "Count"})).collect();
    let metrics = json!({"Namespace": NAMESPACE, "Dimensions": [["service", kind]], "Metrics": names});
    let mut line = json!({"_aws": {"Timestamp": at, "CloudWatchMetrics": [metrics]}, "service": service, kind: name});
    for (name, value) in fields.as_object().into_iter().flatten() {
        line[name] = value.clone();
    }
    for (name, value) in values {
        line[*name] = (*value).into();
    }
    format!("{line}\n")
}

/// The line with its end. Written as text: as an object, it cost as much as the rest of a refused request.
fn line(service: &str, name: &str, value: u64, fields: &Value, at: i64) -> String {
    // By function for people, and over all of them for alarms. Names of services and metrics need no escape.
    let mut line = format!(
        r#"{{"_aws":{{"Timestamp":{at},"CloudWatchMetrics":[{{"Namespace":"{NAMESPACE}","Dimensions":[["service"],[]],"Metrics":[{{"Name":"{name}","Unit":"Count"}}]}}]}},"service":"{service}","{name}":{value}"#,
    );
    for (key, value) in fields.as_object().into_iter().flatten() {
        // Writing to a text cannot fail.
        let _ = write!(line, r#","{key}":{value}"#);
    }
    line.push_str("}\n");
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_measured_of_a_pool_is_one_line_of_its_own_dimension() {
        let line = measured(
            "scaler",
            ("pool", "a \"pool\""),
            &[("PoolSlots", 8), ("PoolTroubles", 0)],
            &json!({"late": 2}),
            7,
        );
        assert_eq!(line.matches('\n').count(), 1, "a line is one line: {line}");
        let line: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(
            (&line["PoolSlots"], &line["PoolTroubles"], &line["service"]),
            (&json!(8), &json!(0), &json!("scaler"))
        );
        assert_eq!((&line["pool"], &line["late"]), (&json!("a \"pool\""), &json!(2)));
        let metrics = &line["_aws"]["CloudWatchMetrics"][0];
        assert_eq!((&metrics["Dimensions"], &metrics["Namespace"]), (&json!([["service", "pool"]]), &json!(NAMESPACE)));
        assert_eq!(metrics["Metrics"][1], json!({"Name": "PoolTroubles", "Unit": "Count"}));
    }

    #[test]
    fn a_line_is_a_metric_with_its_dimension_and_fields() {
        let line = line("ingest", "BusRefusals", 2, &json!({"job.key": "1/2", "why": "\"\n"}), 7);
        assert_eq!(line.matches('\n').count(), 1, "a line is one line: {line}");
        let line: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(line["BusRefusals"], 2);
        assert_eq!(line["service"], "ingest");
        assert_eq!((&line["job.key"], &line["why"]), (&json!("1/2"), &json!("\"\n")));
        assert_eq!(line["_aws"]["CloudWatchMetrics"][0]["Dimensions"], json!([["service"], []]));
        assert_eq!(line["_aws"]["Timestamp"], 7);
        assert_eq!(line["_aws"]["CloudWatchMetrics"][0]["Metrics"][0]["Name"], "BusRefusals");
        assert_eq!(line["_aws"]["CloudWatchMetrics"][0]["Namespace"], NAMESPACE);
    }
}
