//! `map list`: the table in words, or as a file that `map load` takes.

use runnerless_aws_admin::ports::MappingStore;
use runnerless_core::route::MapRow;
use serde_json::{Value, json};

use super::write::table;
use crate::error::CliError;
use crate::screen::Screen;

/// Prints every row.
///
/// # Errors
/// The table could not be read.
pub async fn list(store: &impl MappingStore, as_json: bool, screen: &mut Screen<'_>) -> Result<(), CliError> {
    let table = table(store).await?;
    if as_json {
        let rows: Vec<Value> = table.rows.values().map(|stored| Value::Object(stored.item.clone())).collect();
        let lanes: Vec<Value> = table.entries.values().map(|stored| Value::Object(stored.item.clone())).collect();
        let unreadable: Vec<String> = table.unreadable.values().map(|(_, bad)| bad.to_string()).collect();
        screen.say(json!({"v": 1, "rows": rows, "lanes": lanes, "unreadable": unreadable}))?;
        return Ok(());
    }
    for stored in table.rows.values() {
        screen.say(line(&stored.row))?;
    }
    for (_, bad) in table.unreadable.values() {
        screen.tell(format!("warning: {bad}"))?;
    }
    for (pk, sk) in table.doubled.keys() {
        screen.tell(format!("warning: {pk} {sk} repeats a row with its tags in another order; delete it"))?;
    }
    Ok(())
}

fn line(row: &MapRow) -> String {
    let mut line = format!("{row} -> {} {} (lane {})", row.engine, row.lane().target, row.lane().id());
    let lists = [
        ("projects", &row.scope.projects),
        ("groups", &row.scope.groups),
        ("refs", &row.scope.refs),
        ("stages", &row.scope.stages),
    ];
    if row.scope.is_global() {
        line.push_str(", every project");
    }
    for (name, list) in lists {
        if !list.is_empty() {
            line.push_str(&format!(", {name} {}", list.join(" ")));
        }
    }
    if let Some(timeout) = row.size.timeout_s {
        line.push_str(&format!(", at most {timeout} s"));
    }
    if row.size.own_runner {
        line.push_str(", a runner per launch");
    }
    if let Some(owner) = &row.owner {
        line.push_str(&format!(", owner {owner}"));
    }
    line
}
