//! Which pending job a runner may have.

use crate::world::runner::RunnerType;

/// A runner, as matching sees it.
#[derive(Clone, Debug)]
pub(crate) struct Offerer<'a> {
    /// Scope.
    pub kind: RunnerType,
    /// Path of the group, for group runners.
    pub group_path: Option<&'a str>,
    /// Projects, for project runners.
    pub projects: &'a [u64],
    /// Tags.
    pub tags: &'a [String],
    /// Takes jobs without tags.
    pub run_untagged: bool,
    /// Takes jobs of protected refs only.
    pub ref_protected: bool,
    /// Takes nothing.
    pub paused: bool,
}

/// A pending job, as matching sees it.
#[derive(Clone, Debug)]
pub(crate) struct Wanted<'a> {
    /// Its project.
    pub project: u64,
    /// Path of the project's namespace.
    pub namespace_path: &'a str,
    /// Its tags.
    pub tags: &'a [String],
    /// Its ref is protected.
    pub protected: bool,
}

/// Whether the runner may have the job: scope, tags (the job's are a subset of the runner's), untagged jobs only where
/// allowed, protected runners for protected refs only, and nothing for a paused runner.
pub(crate) fn fits(runner: &Offerer<'_>, job: &Wanted<'_>) -> bool {
    !runner.paused
        && in_scope(runner, job)
        && (!job.tags.is_empty() || runner.run_untagged)
        && job.tags.iter().all(|tag| runner.tags.contains(tag))
        && (!runner.ref_protected || job.protected)
}

fn in_scope(runner: &Offerer<'_>, job: &Wanted<'_>) -> bool {
    match runner.kind {
        RunnerType::Instance => true,
        RunnerType::Project => runner.projects.contains(&job.project),
        RunnerType::Group => runner.group_path.is_some_and(|group| is_below(job.namespace_path, group)),
    }
}

/// `acme/backend` is below `acme` and below itself; `acme-two` is not below `acme`.
fn is_below(namespace: &str, group: &str) -> bool {
    namespace.strip_prefix(group).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn tags_and_untagged_jobs() {
        for (runner_tags, run_untagged, job_tags, expected) in [
            (&["linux", "arm"][..], false, &["linux"][..], true),
            (&["linux"], false, &["linux", "arm"], false),
            (&["linux"], false, &[], false),
            (&["linux"], true, &[], true),
            (&["Linux"], true, &["linux"], false),
        ] {
            let (have, want) = (tags(runner_tags), tags(job_tags));
            let runner = Offerer {
                kind: RunnerType::Instance,
                group_path: None,
                projects: &[],
                tags: &have,
                run_untagged,
                ref_protected: false,
                paused: false,
            };
            let job = Wanted { project: 1, namespace_path: "acme", tags: &want, protected: false };
            assert_eq!(fits(&runner, &job), expected, "{runner_tags:?} {job_tags:?}");
            assert!(!fits(&Offerer { paused: true, ..runner }, &job));
        }
    }

    #[test]
    fn scope_and_protection() {
        let none = Vec::new();
        let instance = Offerer {
            kind: RunnerType::Instance,
            group_path: None,
            projects: &[],
            tags: &none,
            run_untagged: true,
            ref_protected: false,
            paused: false,
        };
        let job = Wanted { project: 7, namespace_path: "acme/backend", tags: &none, protected: false };
        assert!(fits(&instance, &job));
        assert!(!fits(&Offerer { ref_protected: true, ..instance.clone() }, &job));
        let project = Offerer { kind: RunnerType::Project, projects: &[6], ..instance.clone() };
        assert!(!fits(&project, &job));
        assert!(fits(&Offerer { projects: &[6, 7], ..project }, &job));
        for (group, expected) in [("acme", true), ("acme/backend", true), ("acme/back", false), ("acm", false)] {
            let runner = Offerer { kind: RunnerType::Group, group_path: Some(group), ..instance.clone() };
            assert_eq!(fits(&runner, &job), expected, "{group}");
        }
    }
}
