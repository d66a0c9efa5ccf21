//! Whether a hostile job came to the end that was stated beforehand.

use serde_json::{Value, json};

use super::case::{Case, Process};
use crate::conformance::log::plain;
use crate::desk::{Fate, Run};

/// What of the expectations does not hold, in words.
pub(super) fn unmet(case: &Case, run: &Run) -> Vec<String> {
    let expect = &case.expect;
    let mut unmet = Vec::new();
    let mut same = |what: &str, expected: &Value, got: [&Value; 2]| {
        if !got.contains(&expected) {
            unmet.push(format!("{what} is {} (reported {}), expected {expected}", got[0], got[1]));
        }
    };
    let (seen, said) = (&run.seen, &run.seen["reported"]);
    same("state", &json!(expect.state), [&seen["status"], &said["state"]]);
    if let Some(reason) = &expect.reason {
        same("reason", &json!(reason), [&seen["failure_reason"], &said["failure_reason"]]);
    }
    if let Some(code) = expect.exit_code {
        same("exit code", &json!(code), [&seen["exit_code"], &said["exit_code"]]);
    }
    unmet.extend(fate(expect.executor, &run.fate));
    if run.fate.survived() && (run.row["state"] != "closed" || run.row["accepted"] != true) {
        unmet.push(format!("the launch's row is {}", run.row));
    }
    let log = String::from_utf8_lossy(&run.log);
    let text = plain(&log);
    let has = |wanted: &&String| log.contains(wanted.as_str()) || text.contains(wanted.as_str());
    unmet.extend(expect.log_has.iter().filter(|text| !has(text)).map(|text| format!("the log lacks {text:?}")));
    unmet.extend(expect.log_lacks.iter().filter(has).map(|text| format!("the log has {text:?}")));
    if expect.log_at_most.is_some_and(|most| run.log.len() > most) {
        unmet.push(format!("the log has {} bytes", run.log.len()));
    }
    unmet.extend(run.violations.iter().map(|violation| format!("GitLab does not forgive {violation}")));
    unmet
}

fn fate(expected: Process, got: &Fate) -> Option<String> {
    let fits = match expected {
        Process::Survives => matches!(got, Fate::Answered(_)),
        Process::Ends => matches!(got, Fate::Died(_)),
        Process::Hangs => matches!(got, Fate::Silent),
    };
    (!fits).then(|| format!("the executor was to be one that {expected:?}, and {}", words(got)))
}

fn words(fate: &Fate) -> String {
    match fate {
        Fate::Answered(answer) => format!("answered {answer}"),
        Fate::Failed(name) => format!("failed with {name}"),
        Fate::Died(how) => format!("its process ended: {how}"),
        Fate::Silent => "gave no answer in time".to_owned(),
    }
}

/// For the JSON line.
pub(super) fn view(run: &Run) -> Value {
    let said = &run.seen["reported"];
    json!({
        "state": run.seen["status"],
        "exit_code": run.seen["exit_code"],
        "reason": run.seen["failure_reason"],
        "reported": {"state": said["state"], "exit_code": said["exit_code"], "reason": said["failure_reason"]},
        "executor": words(&run.fate),
        "launch": run.row,
        "log_bytes": run.log.len(),
        "violations": run.violations,
        "ms": u64::try_from(run.took.as_millis()).unwrap_or(u64::MAX),
    })
}
