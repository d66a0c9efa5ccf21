//! Whether an end is as expected, and whether two ends are the same.

use std::collections::BTreeMap;

use super::case::{Case, Expect};
use super::end::End;
use super::kept::Kept;

/// What a job fails with that GitLab never handed out, because the runner lacks a feature that it needs.
const NOT_HANDED_OUT: &str = "runner_unsupported";

/// What of the expectations does not hold, in words. Every case expects that the run is orderly: it ends in time, the
/// end is reported, and the runner does nothing that GitLab would not forgive.
pub(super) fn unmet(case: &Case, end: &End) -> Vec<String> {
    let mut unmet = disorder(end);
    match &case.expect {
        Some(expect) => unmet.extend(unmet_of(expect, end)),
        None if is_refused(end) => unmet.push("GitLab did not hand the job out: the runner lacks a feature".to_owned()),
        None => {}
    }
    unmet.extend(end.violations.iter().map(|violation| format!("GitLab does not forgive {violation}")));
    unmet
}

fn disorder(end: &End) -> Vec<String> {
    let mut unmet = Vec::new();
    if end.trip.late {
        unmet.push("the runner did not end within the case's limit".to_owned());
    } else if end.trip.code != Some(0) && !is_refused(end) {
        let code = end.trip.code.map_or_else(|| "a signal".to_owned(), |code| format!("exit code {code}"));
        unmet.push(format!("the runner ended with {code}; see runner.log beside the job's log"));
    }
    if !end.ended {
        unmet.push(format!("the job has not ended: it is {}", end.state));
    }
    unmet
}

fn is_refused(end: &End) -> bool {
    end.reason.as_deref() == Some(NOT_HANDED_OUT)
}

fn unmet_of(expect: &Expect, end: &End) -> Vec<String> {
    let mut unmet = Vec::new();
    let mut one_of = |what: &str, expected: &str, got: [Option<&str>; 2]| {
        if !got.contains(&Some(expected)) {
            let got: Vec<&str> = got.into_iter().flatten().collect();
            let got = if got.is_empty() { "none".to_owned() } else { got.join(", reported ") };
            unmet.push(format!("{what} is {got}, expected {expected}"));
        }
    };
    if let Some(state) = &expect.state {
        one_of("state", state, [Some(&end.state), end.reported.state.as_deref()]);
    }
    if let Some(reason) = &expect.reason {
        one_of("reason", reason, [end.reason.as_deref(), end.reported.reason.as_deref()]);
    }
    if let Some(code) = expect.exit_code {
        let codes = [end.exit_code, end.reported.exit_code].map(|code| code.map(|code| code.to_string()));
        let none_is_zero = code == 0 && codes == [None, None];
        if !none_is_zero {
            one_of("exit code", &code.to_string(), [codes[0].as_deref(), codes[1].as_deref()]);
        }
    }
    if let Some(sections) = &expect.sections
        && *sections != end.sections
    {
        unmet.push(format!("sections are {:?}, expected {sections:?}", end.sections));
    }
    if let Some(artifacts) = &expect.artifacts
        && *artifacts != end.artifacts
    {
        unmet.push(format!("artifacts are {}, expected {}", written(&end.artifacts), written(artifacts)));
    }
    let has = |text: &&String| end.log.contains(text.as_str()) || end.text.contains(text.as_str());
    unmet.extend(expect.log_has.iter().filter(|text| !has(text)).map(|text| format!("the log lacks {text:?}")));
    unmet.extend(expect.log_lacks.iter().filter(has).map(|text| format!("the log has {text:?}")));
    unmet
}

fn written(artifacts: &BTreeMap<String, Kept>) -> String {
    serde_json::json!(artifacts).to_string()
}

/// How our end differs from the official runner's, in words.
pub(super) fn differences(ours: &End, theirs: &End) -> Vec<String> {
    let pairs = [
        (
            "state",
            format!("{:?}", (&ours.state, &ours.reported.state)),
            format!("{:?}", (&theirs.state, &theirs.reported.state)),
        ),
        (
            "reason",
            format!("{:?}", (&ours.reason, &ours.reported.reason)),
            format!("{:?}", (&theirs.reason, &theirs.reported.reason)),
        ),
        (
            "exit code",
            format!("{:?}", (ours.exit_code, ours.reported.exit_code)),
            format!("{:?}", (theirs.exit_code, theirs.reported.exit_code)),
        ),
        ("sections", ours.sections.join(" "), theirs.sections.join(" ")),
        ("artifacts", written(&ours.artifacts), written(&theirs.artifacts)),
    ];
    let mut all: Vec<String> = pairs
        .into_iter()
        .filter(|(_, ours, theirs)| ours != theirs)
        .map(|(what, ours, theirs)| format!("{what}: ours {ours}, official {theirs}"))
        .collect();
    if !theirs.ended {
        all.push("the official runner did not end the job".to_owned());
    }
    all
}
