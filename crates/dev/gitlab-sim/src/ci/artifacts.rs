//! `artifacts` and `dependencies`: what is kept of a job, and whose files it gets.

use std::collections::BTreeMap;

use super::Artifact;
use super::error::{CiError, Place};
use super::needs::{self, Need};
use super::read;
use super::yaml::Value;

/// The reports whose only reader is GitLab itself, with the name and the format that GitLab gives each
/// (`Ci::JobArtifact`). `dotenv` is none: its variables would be missing in later jobs.
const REPORTS: &[(&str, &str, &str)] = &[
    ("accessibility", "gl-accessibility.json", "raw"),
    ("annotations", "gl-annotations.json", "gzip"),
    ("codequality", "gl-code-quality-report.json", "raw"),
    ("container_scanning", "gl-container-scanning-report.json", "raw"),
    ("cyclonedx", "gl-sbom.cdx.json", "gzip"),
    ("dast", "gl-dast-report.json", "raw"),
    ("dependency_scanning", "gl-dependency-scanning-report.json", "raw"),
    ("junit", "junit.xml", "gzip"),
    ("metrics", "metrics.txt", "gzip"),
    ("sast", "gl-sast-report.json", "raw"),
    ("secret_detection", "gl-secret-detection-report.json", "raw"),
    ("terraform", "tfplan.json", "raw"),
];

/// Reads `artifacts`: the archive, if paths or untracked files are to be kept, and each report.
pub(super) fn artifacts(place: &Place<'_>, value: &Value) -> Result<Vec<Artifact>, CiError> {
    let Value::Map(map) = value else {
        return Err(place.refuse(format!("is {}; write a map with `paths` or `reports`", value.kind())));
    };
    read::only_keys(place, map, &["name", "paths", "exclude", "untracked", "when", "expire_in", "reports"])?;
    let text = |key: &str| map.get(key).map(|value| read::text(&place.below(key), value)).transpose();
    let list = |key: &str| map.get(key).map_or(Ok(Vec::new()), |value| read::texts(&place.below(key), value));
    let expire_in = text("expire_in")?;
    let when = text("when")?.unwrap_or_else(|| "on_success".to_owned());
    if !["on_success", "on_failure", "always"].contains(&when.as_str()) {
        let problem = format!("is `{when}`; write `on_success`, `on_failure` or `always`");
        return Err(place.below("when").refuse(problem));
    }
    let untracked = map.get("untracked").map_or(Ok(false), |value| read::boolean(&place.below("untracked"), value))?;
    let archive = Artifact {
        name: text("name")?,
        untracked,
        paths: list("paths")?,
        exclude: list("exclude")?,
        when,
        expire_in: expire_in.clone(),
        kind: "archive".to_owned(),
        format: "zip".to_owned(),
    };
    let kept = archive.untracked || !archive.paths.is_empty();
    let reports = map.get("reports").map_or(Ok(Vec::new()), |value| reports(&place.below("reports"), value))?;
    let report = |(kind, name, format, paths): (&str, &str, &str, Vec<String>)| Artifact {
        name: Some(name.to_owned()),
        untracked: false,
        paths,
        exclude: Vec::new(),
        when: "always".to_owned(),
        expire_in: expire_in.clone(),
        kind: kind.to_owned(),
        format: format.to_owned(),
    };
    let reports: Vec<Artifact> = reports.into_iter().map(report).collect();
    Ok(kept.then_some(archive).into_iter().chain(reports).collect())
}

/// A report's kind, name, format and paths.
type Report = (&'static str, &'static str, &'static str, Vec<String>);

fn reports(place: &Place<'_>, value: &Value) -> Result<Vec<Report>, CiError> {
    let Value::Map(map) = value else {
        return Err(place.refuse(format!("is {}; write a map of reports", value.kind())));
    };
    let known: Vec<&str> = REPORTS.iter().map(|(kind, _, _)| *kind).collect();
    read::only_keys(place, map, &known)?;
    let report = |(kind, name, format): &(&'static str, &'static str, &'static str)| {
        let value = map.get(kind)?;
        let place = place.below(kind);
        let paths = read::one_or_more(value).iter().map(|path| read::text(&place, path)).collect();
        Some(Result::map(paths, |paths| (*kind, *name, *format, paths)))
    };
    REPORTS.iter().filter_map(report).collect()
}

/// Reads `dependencies`.
pub(super) fn dependencies(place: &Place<'_>, value: &Value) -> Result<Vec<Need>, CiError> {
    Ok(read::texts(place, value)?.into_iter().map(Need::of_job).collect())
}

/// The full names of the jobs whose artifacts a job gets: those of `dependencies`, else those of `needs` that are not
/// without. `None` for all of earlier stages.
pub(super) fn inputs(
    job: &str,
    dependencies: Option<&Vec<Need>>,
    needs: Option<&Vec<Need>>,
    names: &BTreeMap<String, Vec<String>>,
) -> Result<Option<Vec<String>>, CiError> {
    let place = Place::job(job, "dependencies");
    let needed = needs.map(|needs| needs::resolve(&Place::job(job, "needs"), needs, names)).transpose()?;
    if let Some(dependencies) = dependencies {
        let wanted = needs::resolve(&place, dependencies, names)?;
        let beside = needed.and_then(|needed| wanted.iter().find(|name| !needed.contains(name)).cloned());
        return match beside {
            Some(name) => Err(place.refuse(format!("has `{name}`, which the job does not need; add it to `needs`"))),
            None => Ok(Some(wanted)),
        };
    }
    let with_files: Option<Vec<Need>> =
        needs.map(|needs| needs.iter().filter(|need| need.artifacts).cloned().collect());
    with_files.map(|needs| needs::resolve(&place, &needs, names)).transpose()
}
