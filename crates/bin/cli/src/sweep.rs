//! `sweep`: runs the reconciler now instead of within the minute, and says item by item what came of it.

use std::collections::BTreeMap;

use runnerless_aws_admin::ports::{Answered, FunctionCalls, RemoteError};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::error::{CliError, counted};
use crate::screen::Screen;

/// The reconciler's report, as far as this command tells of it; the rest is passed on as it is.
#[derive(Debug, Deserialize)]
struct Report {
    dry_run: bool,
    #[serde(default)]
    unreadable: Vec<String>,
    #[serde(default)]
    more: bool,
    counts: BTreeMap<String, u64>,
    items: Vec<Item>,
}

#[derive(Debug, Deserialize)]
struct Item {
    row: String,
    action: String,
    reason: String,
    result: String,
    #[serde(default)]
    why: Option<String>,
}

/// Sweeps, or plans a sweep, and prints what came of each item: in words, or as JSON lines of which the last is the
/// report without its items.
///
/// # Errors
/// The reconciler failed, items of it failed, rows cannot be read, or AWS is out of reach.
pub async fn sweep(
    functions: &impl FunctionCalls,
    reconciler: &str,
    dry_run: bool,
    as_json: bool,
    screen: &mut Screen<'_>,
) -> Result<(), CliError> {
    let answer = match functions.call(reconciler, &json!({"dry_run": dry_run}).to_string()).await? {
        Answered::Value(text) => text,
        Answered::Failed { name, message } => {
            return Err(CliError::Finding(format!("the reconciler failed: {name}: {message}")));
        }
    };
    let unusable = |source| RemoteError::Failed { operation: "reading the reconciler's report", source };
    let said: Map<String, Value> = serde_json::from_str(&answer).map_err(|error| unusable(error.into()))?;
    let report: Report = serde_json::from_value(said.clone().into()).map_err(|error| unusable(error.into()))?;
    if report.dry_run != dry_run {
        return Err(unusable("it is of another kind of sweep than was asked for".into()).into());
    }
    if as_json {
        say_json(said, screen)?
    } else {
        say_words(&said, &report, screen)?
    }
    tell_the_rest(&report, screen)?;
    finding(&report).map_or(Ok(()), |words| Err(CliError::Finding(words)))
}

fn say_json(mut said: Map<String, Value>, screen: &mut Screen<'_>) -> Result<(), CliError> {
    let items = said.remove("items").unwrap_or_default();
    for item in items.as_array().into_iter().flatten() {
        screen.say(item)?;
    }
    screen.say(Value::Object(said))?;
    Ok(())
}

fn say_words(said: &Map<String, Value>, report: &Report, screen: &mut Screen<'_>) -> Result<(), CliError> {
    for Item { row, action, reason, result, why } in &report.items {
        let why = why.as_ref().map_or_else(String::new, |why| format!(": {why}"));
        screen.say(format!("{row}  {action}  {}{why}  because: {reason}", result.replace('_', " ")))?;
    }
    let numbers = said.iter().filter_map(|(name, value)| Some((name, value.as_u64()?)));
    let seen: Vec<String> = numbers.map(|(name, number)| format!("{}: {number}", name.replace('_', " "))).collect();
    screen.say(seen.join(", "))?;
    if report.counts.is_empty() {
        screen.say("nothing to do")?;
    }
    for (name, count) in &report.counts {
        let (action, result) = name.split_once('.').unwrap_or((name, ""));
        screen.say(format!("{action} {}: {count}", result.replace('_', " ")))?;
    }
    Ok(())
}

/// What is no finding and still worth knowing.
fn tell_the_rest(report: &Report, screen: &mut Screen<'_>) -> Result<(), CliError> {
    let counted: u64 = report.counts.values().sum();
    let listed = u64::try_from(report.items.len()).unwrap_or(u64::MAX);
    if counted > listed {
        screen.tell(format!("{} more items are in the counts alone", counted - listed))?;
    }
    if report.more || report.ended_as("left") > 0 {
        screen.tell("more is due than one sweep does; the next one goes on, each minute or by this command")?;
    }
    Ok(())
}

/// What an operator has to look at.
fn finding(report: &Report) -> Option<String> {
    let mut found = Vec::new();
    let failed = report.ended_as("failed");
    if failed > 0 {
        let failed = usize::try_from(failed).unwrap_or(usize::MAX);
        found.push(format!("{} and stay due", counted(failed, "item failed", "items failed")));
    }
    if !report.unreadable.is_empty() {
        found.push(format!("rows that cannot be read are left alone: {}", report.unreadable.join(", ")));
    }
    (!found.is_empty()).then(|| found.join("; "))
}

impl Report {
    fn ended_as(&self, result: &str) -> u64 {
        let ended = |name: &String| name.rsplit_once('.').is_some_and(|(_, ended)| ended == result);
        self.counts.iter().filter(|(name, _)| ended(name)).map(|(_, count)| count).sum()
    }
}
