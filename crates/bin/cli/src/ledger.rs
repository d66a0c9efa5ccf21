//! `job show` and `launch show`: rows of the ledger in words.

use std::fmt::Write as _;

use runnerless_aws_admin::ports::LedgerReader;
use runnerless_core::change::{Item, decode};
use runnerless_core::id::{JobKey, LaunchId};
use runnerless_core::job::JobRow;
use runnerless_core::launch::LaunchRow;
use runnerless_core::own_runner::{OwnRunner, own_runner_name};
use serde_json::Value;

use crate::error::CliError;
use crate::screen::Screen;

/// Prints a job's row.
///
/// # Errors
/// There is none, or it cannot be read.
pub async fn show_job(
    ledger: &impl LedgerReader,
    key: JobKey,
    as_json: bool,
    screen: &mut Screen<'_>,
) -> Result<(), CliError> {
    let item = row(ledger, &key.pk()).await?;
    if as_json {
        screen.say(Value::Object(without_secrets(item)))?;
    } else {
        screen.say(job_lines(&decode(&item)?, &item))?;
    }
    Ok(())
}

/// Prints a launch's row.
///
/// # Errors
/// There is none, or it cannot be read.
pub async fn show_launch(
    ledger: &impl LedgerReader,
    id: &LaunchId,
    as_json: bool,
    screen: &mut Screen<'_>,
) -> Result<(), CliError> {
    let item = row(ledger, &id.pk()).await?;
    if as_json {
        screen.say(Value::Object(without_secrets(item)))?;
    } else {
        screen.say(launch_lines(&decode(&item)?, &item))?;
    }
    Ok(())
}

async fn row(ledger: &impl LedgerReader, pk: &str) -> Result<Item, CliError> {
    let missing = || {
        CliError::Finding(format!(
            "the ledger has no row {pk}; rows are deleted two weeks after their end, and are of one stack"
        ))
    };
    ledger.row(pk).await?.ok_or_else(missing)
}

/// The frozen request holds the launch's nonce; tokens are encrypted, and still nothing to print.
fn without_secrets(mut item: Item) -> Item {
    item.retain(|name, _| !matches!(name.as_str(), "request" | "claim" | "nonce_sha256") && !name.contains("token"));
    item
}

fn job_lines(row: &JobRow, item: &Item) -> String {
    let facts = &row.facts;
    let mut lines = Lines::default();
    lines.add(
        "job",
        format!("{} {:?} is {}; GitLab says {}", row.key(), facts.name, text(item, "state"), row.gitlab_status),
    );
    lines.add("because", &row.reason);
    lines.add("project", &facts.project_path);
    lines.add("ref", &facts.git_ref);
    lines.add("stage", &facts.stage);
    if let Some(tags) = &row.tags {
        lines.add("tags", tags);
    }
    let by_default = if row.by_default { " (the default route)" } else { "" };
    lines.some("lane", row.lane.as_ref().map(|lane| format!("{lane}{by_default}")));
    lines.add("attempt", format!("{}, {} without a job in a row", row.attempt, row.fruitless));
    lines.some("charge", row.charge.as_ref());
    lines.some("launch", row.launch.as_ref());
    lines.some("looked at", row.due.next_check_at.map(|at| moment(at.0)));
    lines.times(item);
    lines.0
}

fn launch_lines(row: &LaunchRow, item: &Item) -> String {
    let mut lines = Lines::default();
    lines.add("launch", format!("{} is {}", row.launch, text(item, "state")));
    lines.some("because", row.end_reason.as_ref());
    lines.add("lane", format!("{} {} {}", row.lane, row.engine, row.lane_tags));
    lines.add("target", &row.target);
    let charged_to = row.charged_to.map_or_else(|| "no job: a sentinel".to_owned(), |key| key.to_string());
    lines.add("charged to", format!("{charged_to}, attempt {}", row.attempt));
    let accepted = if row.accepted { "" } else { ", not accepted yet" };
    lines.some("has", row.bound_job.map(|key| format!("{key}{accepted}")));
    lines.some("instance", row.instance_id.as_ref());
    lines.some("own runner", row.own_runner.as_ref().map(|own| own_runner(row, own)));
    lines.add("system id", &row.system_id);
    lines.add("lease", format!("until {}", moment(row.lease_until.0)));
    lines.add("deadline", moment(row.deadline.0));
    lines.some("looked at", row.due.next_check_at.map(|at| moment(at.0)));
    lines.times(item);
    lines.0
}

/// Its id at GitLab; until GitLab has said it, what to look for.
fn own_runner(row: &LaunchRow, own: &OwnRunner) -> String {
    match own.id {
        Some(id) => id.to_string(),
        None => format!("asked for, {:?} in GitLab", own_runner_name(&row.launch)),
    }
}

fn text<'a>(item: &'a Item, name: &str) -> &'a str {
    item.get(name).and_then(Value::as_str).unwrap_or("?")
}

#[derive(Default)]
struct Lines(String);

impl Lines {
    fn add(&mut self, name: &str, value: impl std::fmt::Display) {
        let value = value.to_string();
        if value.is_empty() {
            return;
        }
        if !self.0.is_empty() {
            self.0.push('\n');
        }
        // Writing to a string does not fail.
        let _infallible = write!(self.0, "{name:<10} {value}");
    }

    fn some(&mut self, name: &str, value: Option<impl std::fmt::Display>) {
        if let Some(value) = value {
            self.add(name, value);
        }
    }

    /// When the row entered its states, in order, with the seconds since the one before.
    fn times(&mut self, item: &Item) {
        const NO_STATES: [&str; 4] = ["created_at", "next_check_at", "expires_at", "seen_at"];
        let state = |(name, value): (&String, &Value)| {
            let state = name.strip_suffix("_at").filter(|_| !NO_STATES.contains(&name.as_str()))?;
            Some((value.as_i64()?, state.to_owned()))
        };
        let mut times: Vec<(i64, String)> = item.iter().filter_map(state).collect();
        times.sort();
        let mut before: Option<i64> = None;
        for (at, state) in times {
            let since = before.map_or_else(String::new, |before| format!(" (+{} ms)", at.saturating_sub(before)));
            self.add(&moment(at), format!("{state}{since}"));
            before = Some(at);
        }
    }
}

/// Milliseconds since the epoch as RFC 3339.
fn moment(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map_or_else(|_| format!("{ms} ms"), |at| format!("{at:.3}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn item(value: Value) -> Item {
        let Value::Object(item) = value else { panic!("no object") };
        item
    }

    #[test]
    fn a_job_is_told_with_its_times_in_order() {
        let item = item(json!({"pk": "job#380#7", "schema": 1, "rev": 3, "project_id": 380, "job_id": 7,
            "gitlab_status": "running", "state": "bound", "lane": "abc", "attempt": 1, "launch": "l-1",
            "reason": "launch l-1 has it", "name": "unit", "stage": "test", "ref": "main", "project_path": "g/p",
            "bound_at": 1_789_373_730_250_i64, "ingested_at": 1_789_373_730_000_i64, "next_check_at": 1_789_373_930_000_i64}));
        let text = job_lines(&decode(&item).unwrap(), &item);
        assert!(
            text.starts_with("job        380/7 \"unit\" is bound; GitLab says running\nbecause    launch l-1 has it"),
            "{text}"
        );
        let times = "2026-09-14T08:15:30.000Z ingested\n2026-09-14T08:15:30.250Z bound (+250 ms)";
        assert!(text.ends_with(times), "{text}");
    }

    #[test]
    fn json_holds_no_secret() {
        let shown = without_secrets(item(json!({"pk": "launch#l-1", "request": "nonce", "claim": "c",
            "nonce_sha256": "n", "job_token": "t", "state": "polling"})));
        assert_eq!(shown, item(json!({"pk": "launch#l-1", "state": "polling"})));
    }
}
