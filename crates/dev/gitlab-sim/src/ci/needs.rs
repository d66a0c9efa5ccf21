//! `needs`: which jobs a job waits for, and whether that can come to an end.

use std::collections::{BTreeMap, BTreeSet};

use super::Job;
use super::error::{CiError, Place};
use super::read;
use super::yaml::Value;

/// Jobs that one job may need (GitLab's plan limit `ci_needs_size_limit`).
const LIMIT: usize = 50;

/// One entry of `needs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Need {
    /// A job of the file, or one job of a `parallel` by its full name.
    name: String,
    /// Whether the job may be missing.
    optional: bool,
    /// Whether its files come with it.
    pub(super) artifacts: bool,
}

impl Need {
    /// A job that must be there.
    pub(super) fn of_job(name: String) -> Self {
        Self { name, optional: false, artifacts: true }
    }
}

/// Reads `needs`.
pub(super) fn needs(place: &Place<'_>, value: &Value) -> Result<Vec<Need>, CiError> {
    match value {
        Value::List(items) => items.iter().map(|item| need(place, item)).collect(),
        Value::Map(_) => Ok(vec![need(place, value)?]),
        other => Err(place.refuse(format!("is {}; write a list of job names", other.kind()))),
    }
}

fn need(place: &Place<'_>, value: &Value) -> Result<Need, CiError> {
    let Value::Map(map) = value else { return Ok(Need::of_job(read::text(place, value)?)) };
    read::only_keys(place, map, &["job", "artifacts", "optional"])?;
    let job = map.get("job").ok_or_else(|| place.below("job").refuse("is missing; name the job"))?;
    let flag = |key: &str, absent| map.get(key).map_or(Ok(absent), |value| read::boolean(&place.below(key), value));
    let artifacts = flag("artifacts", true)?;
    Ok(Need { name: read::text(&place.below("job"), job)?, optional: flag("optional", false)?, artifacts })
}

/// The full names that a job's `needs` mean. `names` has the full names of each job of the file.
pub(super) fn resolve(
    place: &Place<'_>,
    needs: &[Need],
    names: &BTreeMap<String, Vec<String>>,
) -> Result<Vec<String>, CiError> {
    let mut resolved = Vec::new();
    for Need { name, optional, .. } in needs {
        match names.get(name) {
            Some(all) => resolved.extend(all.iter().cloned()),
            None if names.values().flatten().any(|full| full == name) => resolved.push(name.clone()),
            None if *optional => {}
            None => {
                return Err(
                    place.refuse(format!("has `{name}`, which is no job of the file; add it or remove the need"))
                );
            }
        }
    }
    let mut seen = BTreeSet::new();
    if let Some(twice) = resolved.iter().find(|name| !seen.insert(name.as_str())) {
        return Err(place.refuse(format!("has `{twice}` twice; remove one")));
    }
    if resolved.len() > LIMIT {
        return Err(place.refuse(format!("has {} jobs; GitLab allows {LIMIT}, need fewer", resolved.len())));
    }
    Ok(resolved)
}

/// Refuses needs of later stages, needs that wait for each other, and files of jobs that need not have ended.
pub(super) fn check(stages: &[String], jobs: &[Job]) -> Result<(), CiError> {
    let stage_of: BTreeMap<_, _> =
        jobs.iter().map(|job| (job.name.as_str(), stages.iter().position(|stage| *stage == job.stage))).collect();
    for job in jobs {
        let late = |input: &&String| stage_of.get(input.as_str()) >= stage_of.get(job.name.as_str());
        if job.needs.is_none()
            && let Some(input) = job.inputs.iter().flatten().find(late)
        {
            let problem = format!("has `{input}`, which is of no earlier stage; move one of the two, or remove it");
            return Err(Place::job(&job.base_name, "dependencies").refuse(problem));
        }
        for need in job.needs.iter().flatten() {
            if stage_of.get(need.as_str()) > stage_of.get(job.name.as_str()) {
                let problem = format!("has `{need}` of a later stage; move one of the two, or remove the need");
                return Err(Place::job(&job.base_name, "needs").refuse(problem));
            }
        }
    }
    acyclic(jobs)
}

/// Takes away jobs whose needs are all taken away until none can be; what is left waits for itself.
fn acyclic(jobs: &[Job]) -> Result<(), CiError> {
    let mut left: Vec<&Job> = jobs.iter().collect();
    let mut done: BTreeSet<&str> = BTreeSet::new();
    loop {
        let (ready, waiting): (Vec<_>, Vec<_>) =
            left.iter().partition(|job| job.needs.iter().flatten().all(|need| done.contains(need.as_str())));
        if waiting.is_empty() {
            return Ok(());
        }
        if ready.is_empty() {
            return Err(circle(&waiting));
        }
        done.extend(ready.iter().map(|job| job.name.as_str()));
        left = waiting;
    }
}

/// Names one circle: from a job that waits, always on to its first need that waits too.
fn circle(waiting: &[&Job]) -> CiError {
    let next =
        |job: &Job| waiting.iter().copied().find(|other| job.needs.iter().flatten().any(|need| *need == other.name));
    let mut path: Vec<&Job> = waiting.iter().copied().take(1).collect();
    while let Some(job) = path.last().copied().and_then(next) {
        if let Some(start) = path.iter().position(|seen| seen.name == job.name) {
            let names: Vec<_> = path[start..].iter().chain([&job]).map(|job| format!("`{}`", job.name)).collect();
            let problem = format!("goes in a circle: {}; remove one of these needs", names.join(" needs "));
            return Place::job(&job.base_name, "needs").refuse(problem);
        }
        path.push(job);
    }
    Place::global("needs").refuse("goes in a circle; remove one of the needs")
}
