//! The control job: what a job finds around it, compared with what one found in a fresh process.

use serde_json::{Value, json};

use crate::conformance::log::plain;
use crate::desk::{Fate, Run};

const SCRIPT: &str = include_str!("control.sh");
const BEGIN: &str = "@@begin\n";
const END: &str = "@@end";
/// So many differences are shown.
const SHOWN: usize = 4;

/// The control job's description.
pub(super) fn job() -> Value {
    json!({"script": [SCRIPT], "variables": {"GIT_STRATEGY": "none"}})
}

/// What a job finds in a fresh process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Baseline(Vec<String>);

impl Baseline {
    pub(super) fn of(run: &Run) -> Result<Self, String> {
        found(run).map(Self)
    }

    /// How what this job found differs, in words.
    pub(super) fn differences(&self, run: &Run) -> Vec<String> {
        match found(run) {
            Err(why) => vec![why],
            Ok(lines) => differences(&self.0, &lines),
        }
    }
}

fn differences(before: &[String], after: &[String]) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    all.extend(after.iter().filter(|line| !before.contains(line)).map(|line| format!("it finds {line:?}")));
    all.extend(before.iter().filter(|line| !after.contains(line)).map(|line| format!("it lacks {line:?}")));
    let more = all.len().saturating_sub(SHOWN);
    all.truncate(SHOWN);
    if more > 0 {
        all.push(format!("and {more} more"));
    }
    if all.is_empty() && before.len() != after.len() {
        all.push(format!("{} lines instead of {}", after.len(), before.len()));
    }
    all
}

/// What the job printed, each line with its heading, without what differs from job to job.
fn found(run: &Run) -> Result<Vec<String>, String> {
    if !matches!(run.fate, Fate::Answered(_)) || run.seen["status"] != "success" {
        return Err(format!("it is {} and the executor's end is {:?}", run.seen["status"], run.fate));
    }
    let log = plain(&String::from_utf8_lossy(&run.log));
    let between = log.rsplit_once(BEGIN).and_then(|(_, rest)| rest.split_once(END));
    let (between, _) = between.ok_or("it printed nothing")?;
    Ok(lines(between, &run.launch, run.job))
}

fn lines(text: &str, launch: &str, job: u64) -> Vec<String> {
    let mut heading = "";
    let mut lines = Vec::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("== ") {
            heading = name;
            continue;
        }
        let line = line.replace(launch, "LAUNCH").replace(&format!("/jobs/{job}"), "/jobs/JOB");
        lines.push(format!("{heading}: {}", without_inode(&line)));
    }
    lines
}

/// `pipe:[12345]` and the like.
fn without_inode(line: &str) -> String {
    match line.split_once(":[") {
        Some((kind, _)) => format!("{kind}:[]"),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_this_job_are_no_difference_and_everything_else_is() {
        let first = lines("== files\nd 700 /tmp/runnerless/l-1/jobs/7/tmp\n== fds\n0 pipe:[77]\n", "l-1", 7);
        let second = lines("== files\nd 700 /tmp/runnerless/l-2/jobs/8/tmp\n== fds\n0 pipe:[78]\n", "l-2", 8);
        assert_eq!(first, ["files: d 700 /tmp/runnerless/LAUNCH/jobs/JOB/tmp", "fds: 0 pipe:[]"]);
        assert!(differences(&first, &second).is_empty());
        let left = lines("== files\nd 700 /tmp/runnerless/l-2/jobs/8/tmp\nf 600 /tmp/x\n", "l-2", 8);
        assert_eq!(differences(&first, &left), [r#"it finds "files: f 600 /tmp/x""#, r#"it lacks "fds: 0 pipe:[]""#]);
        let twice = [first.clone(), first.clone()].concat();
        assert_eq!(differences(&first, &twice).len(), 1);
    }
}
