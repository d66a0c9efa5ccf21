//! What the terminator is invoked with: a request of the stop workflow, Lambda's record of an asynchronous invocation that
//! failed, or EC2's warning that it takes a spot instance back.

use runnerless_core::event::LaunchEvent;
use runnerless_core::id::{JobKey, LaunchId};
use serde_json::Value;

use crate::error::Error;

/// Conditions by which Lambda says that no invocation took place: the event grew too old while the function was
/// throttled, or the function's concurrency is zero.
const NEVER_STARTED: [&str; 2] = ["EventAgeExceeded", "ZeroReservedConcurrency"];
/// Errors of an invocation that did not begin its launch: our executor says so when the ledger did not answer its first
/// question or when its environment is not fit for the launch, and the local stack when it throttled the invocation.
const NOT_BEGUN: [&str; 5] =
    ["Executor.NotBegun", "Executor.NoTenant", "Executor.WrongTenant", "Executor.NotClean", "TooManyRequestsException"];
/// The `detail-type` of EC2's warning, on the account's default event bus.
const INTERRUPTION: &str = "EC2 Spot Instance Interruption Warning";
/// Longest name of an error that is kept.
const NAME_CHARS: usize = 80;

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Work {
    /// A job ended.
    Settle {
        /// Which.
        job: JobKey,
        /// The launch that has it, if the event says so: it spares a read, and decides nothing.
        launch: Option<LaunchId>,
    },
    /// A launch's invocation failed.
    Failed {
        /// What it was started with; `None` when that is no launch event.
        launch: Option<Box<LaunchEvent>>,
        /// How.
        failure: Failure,
    },
    /// EC2 takes this instance back within two minutes.
    Interrupted(String),
}

/// How an asynchronous invocation failed. The names are AWS's or the function's own text, for people only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No process of it began the launch. Another delivery of the same event may have.
    NotBegun(String),
    /// A process of it ended with an error, or was ended: whatever it ran is gone.
    Ended(String),
}

impl Work {
    /// Reads an event.
    ///
    /// # Errors
    /// It is none of them, or names no job or no instance.
    pub fn read(event: &Value) -> Result<Self, Error> {
        if event.get("requestContext").is_some_and(Value::is_object) && event.get("requestPayload").is_some() {
            let launch = event.get("requestPayload").map(LaunchEvent::read).and_then(Result::ok).map(Box::new);
            return Ok(Self::Failed { launch, failure: Failure::of(event) });
        }
        if event.get("detail-type").and_then(Value::as_str) == Some(INTERRUPTION) {
            let instance = event.pointer("/detail/instance-id").and_then(Value::as_str);
            let what = "the id of an instance";
            let instance = instance.filter(|id| id.starts_with("i-")).map(plain);
            return instance.map(Self::Interrupted).ok_or(Error::BadRequest { field: "detail.instance-id", what });
        }
        if event.get("do").and_then(Value::as_str) != Some("settle") {
            let what = "settle, or the event a failure record of Lambda's or a warning of EC2's";
            return Err(Error::BadRequest { field: "do", what });
        }
        let key = event.get("job").and_then(Value::as_str).and_then(|text| text.parse().ok());
        let what = "a job key, <project id>/<job id>";
        let launch = event.get("launch").and_then(Value::as_str).map(|id| LaunchId::new(plain(id)));
        key.map(|job| Self::Settle { job, launch }).ok_or(Error::BadRequest { field: "job", what })
    }
}

impl Failure {
    fn of(record: &Value) -> Self {
        let text = |pointer: &str| record.pointer(pointer).and_then(Value::as_str);
        let condition = text("/requestContext/condition").unwrap_or("no condition");
        let error = text("/responsePayload/errorType").or_else(|| text("/responsePayload/__type"));
        let name = plain(error.unwrap_or(condition));
        // Lambda names an error for every process that ran; without one there was none.
        let ran = text("/responseContext/functionError").is_some();
        if NEVER_STARTED.contains(&condition) || !ran || error.is_some_and(|error| NOT_BEGUN.contains(&error)) {
            Self::NotBegun(name)
        } else {
            Self::Ended(name)
        }
    }
}

/// A name fit for a reason and a log: short, and without control characters.
fn plain(text: &str) -> String {
    text.chars().take(NAME_CHARS).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn record(text: &str) -> Work {
        Work::read(&serde_json::from_str(text).unwrap()).unwrap()
    }

    #[test]
    fn records_tell_whether_a_process_began() {
        let ended = |name: &str| Failure::Ended(name.to_owned());
        let not_begun = |name: &str| Failure::NotBegun(name.to_owned());
        for (text, expected) in [
            (include_str!("../../../../events/terminator/timeout.json"), ended("Sandbox.Timedout")),
            (include_str!("../../../../events/terminator/local-timeout.json"), ended("Sandbox.Timedout")),
            (include_str!("../../../../events/terminator/exit.json"), ended("Runtime.ExitError")),
            (include_str!("../../../../events/terminator/foreign-error.json"), ended("KeyError")),
            (include_str!("../../../../events/terminator/age-exceeded.json"), not_begun("EventAgeExceeded")),
            (include_str!("../../../../events/terminator/not-begun.json"), not_begun("Executor.NotBegun")),
            (include_str!("../../../../events/terminator/local-throttle.json"), not_begun("TooManyRequestsException")),
        ] {
            let Work::Failed { launch, failure } = record(text) else { panic!("{text}") };
            assert_eq!(failure, expected);
            assert_eq!(launch.expect("the launch event is read").launch.as_str(), "l-4n8w2c6h0r5t9v3x7z1b");
        }
    }

    #[test]
    fn an_environment_that_is_not_fit_begins_no_launch() {
        for name in ["Executor.NoTenant", "Executor.WrongTenant", "Executor.NotClean"] {
            let text = include_str!("../../../../events/terminator/not-begun.json").replace("Executor.NotBegun", name);
            let Work::Failed { failure, .. } = record(&text) else { panic!("{text}") };
            assert_eq!(failure, Failure::NotBegun(name.to_owned()));
        }
    }

    #[test]
    fn a_record_of_another_event_is_a_record_all_the_same() {
        let other = json!({"requestContext": {"condition": "RetriesExhausted"}, "requestPayload": {"detail": 1}});
        assert!(matches!(Work::read(&other).unwrap(), Work::Failed { launch: None, .. }));
    }

    #[test]
    fn the_stop_workflows_request_is_read_and_what_is_wrong_is_named() {
        let settle = include_str!("../../../../events/terminator/settle.json");
        let job = JobKey { project: 380, job: 4_300_000_001 };
        let launch = Some(LaunchId::new("l-4n8w2c6h0r5t9v3x7z1b"));
        assert_eq!(record(settle), Work::Settle { job, launch });
        for none in [json!({"do": "settle", "job": "1/2"}), json!({"do": "settle", "job": "1/2", "launch": null})] {
            assert!(matches!(Work::read(&none).unwrap(), Work::Settle { launch: None, .. }), "{none}");
        }
        for (wrong, field) in [
            (json!({"do": "settle"}), "job"),
            (json!({"do": "settle", "job": "380"}), "job"),
            (json!({"do": "settle", "job": 380}), "job"),
            (json!({"do": "kill", "job": "1/2"}), "do"),
            (json!({"requestContext": "x", "requestPayload": {}}), "do"),
            (json!({"detail-type": INTERRUPTION, "detail": {}}), "detail.instance-id"),
            (json!({"detail-type": INTERRUPTION, "detail": {"instance-id": "job"}}), "detail.instance-id"),
            (json!({"detail-type": "EC2 Instance State-change Notification"}), "do"),
            (json!([]), "do"),
        ] {
            let error = Work::read(&wrong).unwrap_err();
            assert!(matches!(error, Error::BadRequest { field: named, .. } if named == field), "{wrong}: {error}");
        }
    }

    #[test]
    fn a_warning_of_ec2_names_its_instance() {
        let warning = include_str!("../../../../events/terminator/interruption.json");
        assert_eq!(record(warning), Work::Interrupted("i-0123456789abcdef0".to_owned()));
    }

    #[test]
    fn an_errors_name_is_cut_and_plain() {
        let long = json!({"requestContext": {}, "requestPayload": {}, "responseContext": {"functionError": "Unhandled"},
            "responsePayload": {"errorType": format!("a\n{}", "x".repeat(500))}});
        let Work::Failed { failure: Failure::Ended(name), .. } = Work::read(&long).unwrap() else { panic!("no end") };
        assert!(name.starts_with("a x") && name.chars().count() == NAME_CHARS, "{name}");
    }
}
