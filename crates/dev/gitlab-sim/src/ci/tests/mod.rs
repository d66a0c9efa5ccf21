//! Files and what becomes of them.

use super::*;

mod accepted;
mod joined;
mod refused;

fn pipeline(text: &str) -> Pipeline {
    read(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// A file that includes no other.
fn read(text: &str) -> Result<Pipeline, CiError> {
    parse(text, &|_| None)
}

/// The one job of a file.
fn job(text: &str) -> Job {
    let jobs = pipeline(text).jobs;
    assert_eq!(jobs.len(), 1, "{text}");
    jobs.into_iter().next().unwrap()
}

/// A job `a` with more keywords, each on its own line.
fn with(keywords: &str) -> String {
    format!("a:\n  script: x\n  {}\n", keywords.replace('\n', "\n  "))
}

fn names(text: &str) -> Vec<String> {
    pipeline(text).jobs.into_iter().map(|job| job.name).collect()
}

fn pairs(variables: &[Variable]) -> Vec<(&str, &str)> {
    variables.iter().map(|variable| (variable.key.as_str(), variable.value.as_str())).collect()
}
