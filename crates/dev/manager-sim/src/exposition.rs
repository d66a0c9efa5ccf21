//! The metrics, in Prometheus' text format: names, types, words and labels of the official runner (19.3), as its Go client
//! writes them: families and series by name, labels by name. `tests/recorded.rs` compares them with that one's own.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// What the process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It takes jobs.
    Running,
    /// It finishes its jobs.
    Graceful,
    /// It ends its jobs.
    Forceful,
}

impl Phase {
    const fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Graceful => "graceful-shutdown",
            Self::Forceful => "forceful-shutdown",
        }
    }
}

/// A runner, as metrics show it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// The first characters of its token.
    pub short_token: String,
    /// Its name.
    pub name: String,
    /// Its limit; 0 is none.
    pub limit: usize,
    /// Whether it has asked for a job; before that it has no series of jobs.
    pub has_polled: bool,
    /// Jobs that run.
    pub jobs: usize,
    /// Jobs that it took since the process started.
    pub total: u64,
    /// Failed jobs by reason.
    pub failed: BTreeMap<String, u64>,
}

/// All that is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exposition {
    /// `concurrent`.
    pub concurrent: usize,
    /// What the process does.
    pub phase: Phase,
    /// The runner manager's id.
    pub system_id: String,
    /// The runners.
    pub runners: Vec<Shown>,
}

impl Exposition {
    /// The text.
    #[must_use]
    pub fn text(&self) -> String {
        let about_process = "This metric provides info about the current state of the GitLab Runner process";
        let polled = || self.runners.iter().filter(|runner| runner.has_polled);
        let mut text = String::new();
        family(
            &mut text,
            ["gitlab_runner_concurrent", "gauge", "The current value of concurrent setting"],
            [(String::new(), as_count(self.concurrent))],
        );
        family(
            &mut text,
            ["gitlab_runner_failed_jobs_total", "counter", "Total number of failed jobs"],
            self.runners.iter().flat_map(failures),
        );
        family(
            &mut text,
            ["gitlab_runner_jobs", "gauge", "The current number of running builds."],
            polled().flat_map(|runner| self.jobs(runner)),
        );
        family(
            &mut text,
            ["gitlab_runner_jobs_total", "counter", "Total number of handled jobs"],
            polled().map(|runner| (self.named(runner), runner.total)),
        );
        family(
            &mut text,
            ["gitlab_runner_limit", "gauge", "The current value of concurrent setting"],
            self.runners.iter().map(|runner| (self.named(runner), as_count(runner.limit))),
        );
        family(
            &mut text,
            ["gitlab_runner_process_state_info", "gauge", about_process],
            [(format!("{{state=\"{}\"}}", self.phase.name()), 1)],
        );
        family(
            &mut text,
            ["gitlab_runner_worker_slots_number", "gauge", "Current number of runner worker slots"],
            [(String::new(), as_count(self.slots()))],
        );
        text
    }

    /// Slots that are not needed end as soon as no more jobs are taken.
    fn slots(&self) -> usize {
        if self.phase == Phase::Running { self.concurrent } else { self.runners.iter().map(|runner| runner.jobs).sum() }
    }

    /// The idle series, which is always 0, and that of the jobs while there are any. The shell executor stays in the stage
    /// that it prepares in.
    fn jobs(&self, runner: &Shown) -> Vec<Series> {
        let mut series = vec![(self.job(runner, ["idle", "idle", "idle"]), 0)];
        if runner.jobs > 0 {
            series.push((self.job(runner, ["prepare", "step_script", "running"]), as_count(runner.jobs)));
        }
        series
    }

    fn job(&self, runner: &Shown, [executor, stage, state]: [&str; 3]) -> String {
        format!(
            "{{executor_stage=\"{executor}\",runner=\"{}\",runner_name=\"{}\",stage=\"{stage}\",state=\"{state}\",system_id=\"{}\"}}",
            runner.short_token, runner.name, self.system_id
        )
    }

    fn named(&self, runner: &Shown) -> String {
        let Shown { short_token, name, .. } = runner;
        format!("{{runner=\"{short_token}\",runner_name=\"{name}\",system_id=\"{}\"}}", self.system_id)
    }
}

/// The labels of a series, braces included, and its number.
type Series = (String, u64);

fn failures(runner: &Shown) -> impl Iterator<Item = Series> {
    runner.failed.iter().map(|(reason, count)| {
        let labels = format!(
            "{{failure_reason=\"{reason}\",mode=\"traditional\",runner=\"{}\",runner_name=\"{}\"}}",
            runner.short_token, runner.name
        );
        (labels, *count)
    })
}

fn as_count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// A metric with its series in their order; one without series is not told at all.
fn family(text: &mut String, [name, kind, about]: [&str; 3], series: impl IntoIterator<Item = Series>) {
    let mut series: Vec<Series> = series.into_iter().collect();
    series.sort();
    if !series.is_empty() {
        let _ = writeln!(text, "# HELP {name} {about}\n# TYPE {name} {kind}");
    }
    for (labels, number) in series {
        let _ = writeln!(text, "{name}{labels} {number}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exposition(runner: Shown) -> String {
        let runners = vec![runner];
        Exposition { concurrent: 4, phase: Phase::Graceful, system_id: "s_1".to_owned(), runners }.text()
    }

    #[test]
    fn a_runner_that_polled_has_an_idle_series_beside_that_of_its_jobs() {
        let runner = Shown { short_token: "aBc".into(), name: "pool".into(), limit: 3, ..Shown::default() };
        let text = exposition(runner.clone());
        assert!(!text.contains("gitlab_runner_jobs"), "{text}");
        let busy = Shown { has_polled: true, jobs: 2, total: 9, ..runner };
        let text = exposition(busy);
        let series: Vec<&str> = text.lines().filter(|line| line.starts_with("gitlab_runner_jobs{")).collect();
        let expected = [
            r#"gitlab_runner_jobs{executor_stage="idle",runner="aBc",runner_name="pool",stage="idle",state="idle",system_id="s_1"} 0"#,
            r#"gitlab_runner_jobs{executor_stage="prepare",runner="aBc",runner_name="pool",stage="step_script",state="running",system_id="s_1"} 2"#,
        ];
        assert_eq!(series, expected);
        for line in [
            "gitlab_runner_concurrent 4",
            r#"gitlab_runner_jobs_total{runner="aBc",runner_name="pool",system_id="s_1"} 9"#,
            r#"gitlab_runner_limit{runner="aBc",runner_name="pool",system_id="s_1"} 3"#,
            r#"gitlab_runner_process_state_info{state="graceful-shutdown"} 1"#,
        ] {
            assert!(text.lines().any(|one| one == line), "{line}: {text}");
        }
    }
}
