//! What to do with a stack that stays: commands that work when they are pasted into a shell.

use std::path::Path;

use super::prepare::Project;
use crate::layout::Layout;
use crate::pipelines::lines::JobLine;
use crate::stack_env::quoted;

/// A stack that stays, and what ran on it.
#[derive(Debug)]
pub(super) struct Kept<'a> {
    pub(super) layout: &'a Layout,
    pub(super) project: Option<&'a Project>,
    pub(super) pipeline: Option<u64>,
    pub(super) jobs: &'a [JobLine],
}

impl Kept<'_> {
    /// The commands, each with what it shows; those that name a job only when one ran.
    pub(super) fn commands(&self) -> String {
        let words = |path: &Path| {
            let path = path.strip_prefix(self.layout.root()).unwrap_or(path).display().to_string();
            if path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"./_-".contains(&byte)) {
                path
            } else {
                quoted(&path)
            }
        };
        // A bare name would be looked for on PATH by `.`.
        let env = match words(&self.layout.stack_env()) {
            relative if relative.contains('/') => relative,
            bare => format!("./{bare}"),
        };
        let state = match words(self.layout.state()).as_str() {
            ".local" => String::new(),
            other => format!("STATE={other} "),
        };
        let mut list = vec![
            (format!("cd {}", quoted(&self.layout.root().display().to_string())), ""),
            (format!("set -a; . {env}; set +a"), "the stack's addresses, keys and outputs"),
        ];
        list.extend(self.of_jobs());
        list.push(("target/release/runnerless map list".to_owned(), "which job gets which runner"));
        list.push((
            format!("{state}helper-scripts/invoke.sh --local reconciler"),
            "a sweep that changes nothing (needs the AWS CLI)",
        ));
        list.extend(self.of_gitlab());
        list.push((
            format!("tail {}", words(&self.layout.calls())),
            "what the functions called, as the witness saw it",
        ));
        list.push((
            format!("ls {}", words(&self.layout.at("log"))),
            "the logs of the emulator, with the functions', and of GitLab",
        ));
        list.push((format!("{state}make stack-down"), "ends it"));
        let width = list.iter().map(|(command, _)| command.chars().count()).filter(|width| *width < WIDE).max();
        let width = width.unwrap_or_default();
        let line = |(command, what): &(String, &str)| match *what {
            "" => format!("  {command}\n"),
            what => format!("  {command:width$}  # {what}\n"),
        };
        format!("The stack stays. To look around, paste:\n{}", list.iter().map(line).collect::<String>())
    }

    fn of_jobs(&self) -> Vec<(String, &'static str)> {
        // The last one that ran: in the demo's own pipeline that with a mapping row.
        let ran = self.jobs.iter().rev().find(|job| job.launch.is_some());
        let job = ran.or(self.jobs.last());
        let mut list = Vec::new();
        if let Some(job) = job {
            list.push((
                format!("target/release/runnerless job show {}", job.key),
                "a job's row, and why it is as it is",
            ));
        }
        if let Some(launch) = ran.and_then(|job| job.launch.as_deref()) {
            list.push((format!("target/release/runnerless launch show {launch}"), "the row of its launch"));
        }
        if let (Some(job), Some(project)) = (job, self.project) {
            let name = quoted(&job.name);
            list.push((
                format!(
                    "target/release/runnerless explain --project {} --project-id {} --name {name}",
                    project.path, project.id
                ),
                "where it would go",
            ));
        }
        list
    }

    fn of_gitlab(&self) -> Vec<(String, &'static str)> {
        let get =
            |path: &str| format!(r#"curl -sS -H "PRIVATE-TOKEN: $GITLAB_ADMIN_TOKEN" "$GITLAB_URL/_sim/v1/{path}""#);
        let mut list = vec![(get("pipelines"), "GitLab: all pipelines")];
        if let Some(id) = self.pipeline {
            list.push((get(&format!("pipelines/{id}")), "one with its jobs"));
        }
        if let Some((_, id)) = self.jobs.last().and_then(|job| job.key.split_once('/')) {
            list.push((get(&format!("jobs/{id}/log")), "a job's log"));
        }
        list.push((get("deliveries"), "every attempt to deliver a webhook"));
        list
    }
}

/// Commands longer than this do not push the explanations of the others to the right.
const WIDE: usize = 64;

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn layout(folder: &Path, state: &str) -> Layout {
        fs::write(folder.join("template.yaml"), "").unwrap();
        Layout::new(folder, Path::new(state)).unwrap()
    }

    fn job(key: &str, name: &str, launch: Option<&str>) -> JobLine {
        JobLine { key: key.into(), name: name.into(), launch: launch.map(str::to_owned), ..JobLine::default() }
    }

    #[test]
    fn what_ran_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let layout = layout(folder.path(), ".local");
        let project = Project { id: 7, path: "demo/x".into() };
        let jobs = [job("7/1", "a", Some("l-1")), job("7/2", "it's", Some("l-2")), job("7/3", "skipped", None)];
        let said = Kept { layout: &layout, project: Some(&project), pipeline: Some(4), jobs: &jobs }.commands();
        for part in [
            ". .local/stack.env;",
            "runnerless job show 7/2 ",
            "runnerless launch show l-2 ",
            r"explain --project demo/x --project-id 7 --name 'it'\''s'",
            "/_sim/v1/pipelines/4\"",
            "/_sim/v1/jobs/3/log\"",
            "tail .local/aws-calls.jsonl",
            "\n  make stack-down",
        ] {
            assert!(said.contains(part), "{part} is not in\n{said}");
        }
    }

    #[test]
    fn another_state_folder_is_named_and_nothing_is_invented_where_nothing_ran() {
        let folder = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let state = elsewhere.path().join("a state");
        let layout = layout(folder.path(), state.to_str().unwrap());
        let said = Kept { layout: &layout, project: None, pipeline: None, jobs: &[] }.commands();
        let word = quoted(&layout.state().display().to_string());
        assert!(said.contains(&format!("STATE={word} make stack-down")), "{said}");
        assert!(!said.contains("job show") && !said.contains("launch show") && !said.contains("explain"), "{said}");
    }

    #[test]
    fn the_lines_are_a_shell_script() {
        let folder = tempfile::tempdir().unwrap();
        let layout = layout(folder.path(), "it's here");
        let kept = Kept { layout: &layout, project: None, pipeline: Some(1), jobs: &[job("1/1", "a $(b) 'c'", None)] };
        let said = kept.commands();
        let script: String = said.lines().skip(1).map(|line| format!("{line}\n")).collect();
        let output = std::process::Command::new("bash").args(["-n", "-c", &script]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}
