//! `map load`: reads, decides, writes; decides anew when somebody else wrote in between.

use std::collections::{BTreeMap, BTreeSet};

use runnerless_aws_admin::ports::{Applied, FunctionFacts, Functions, MappingStore};
use runnerless_core::change::Item;
use runnerless_core::lane::Engine;
use serde_json::{Value, json};

use super::notes::{Known, notes};
use super::plan::{Plan, Planned, Stack, What, plan};
use super::write::{TRIES, table, transactions, write};
use super::{Rules, Table, Wanted, check, read};
use crate::error::{CliError, counted};
use crate::screen::Screen;
use crate::stack::StackWays;

/// What the person said.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// How rows are read.
    pub rules: Rules,
    /// Own rows become what the file says, also where that takes something away.
    pub replace: bool,
    /// Nothing is written.
    pub dry_run: bool,
    /// The answer is JSON.
    pub json: bool,
}

/// What is known of the stack.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// Its ways with jobs that have no row.
    pub ways: Option<StackWays>,
    /// Whether it launches instances.
    pub ec2: bool,
}

/// Loads a file.
///
/// # Errors
/// The file is refused, AWS could not be asked, or others kept writing.
pub async fn load(
    text: &str,
    options: &Options,
    surroundings: &Surroundings,
    store: &impl MappingStore,
    functions: &impl Functions,
    screen: &mut Screen<'_>,
) -> Result<(), CliError> {
    let wanted = check(&read(text)?, &options.rules).map_err(|problems| CliError::Refused { problems, written: 0 })?;
    let default_lane = surroundings.ways.as_ref().and_then(StackWays::default_lane).cloned();
    let stack = Stack { functions: facts(&wanted, functions).await?, default_lane };
    let mut fates = BTreeMap::new();
    for _ in 0..TRIES {
        let stored = table(store).await?;
        let decided = plan(&stored, &wanted, &stack, options.replace);
        let decided = decided.map_err(|problems| CliError::Refused { problems, written: fates.len() })?;
        if options.dry_run || written(store, &stored, &decided, &mut fates).await? == Applied::All {
            return report(&stored, decided, &fates, options, surroundings, screen);
        }
    }
    Err(CliError::Contended { what: "the mapping", times: TRIES })
}

async fn facts(wanted: &[Wanted], functions: &impl Functions) -> Result<BTreeMap<String, FunctionFacts>, CliError> {
    let lambdas = wanted.iter().filter(|one| one.row.engine == Engine::Lambda);
    let arns: BTreeSet<&String> = lambdas.filter_map(|one| one.row.arn.as_ref()).collect();
    let mut facts = BTreeMap::new();
    for arn in arns {
        if let Some(found) = functions.facts(arn).await? {
            facts.insert(arn.clone(), found);
        }
    }
    Ok(facts)
}

/// Writes a plan and notes the fate of each row that it wrote.
async fn written(
    store: &impl MappingStore,
    stored: &Table,
    decided: &Plan,
    fates: &mut BTreeMap<usize, What>,
) -> Result<Applied, CliError> {
    let mut revision = stored.revision.clone();
    for changes in transactions(decided.groups.clone()) {
        let items: Vec<Item> = changes.iter().filter_map(|change| change.after.clone()).collect();
        if write(store, &mut revision, changes).await? == Applied::Conflict {
            return Ok(Applied::Conflict);
        }
        let done = decided.rows.iter().filter(|one| one.what != What::Unchanged && items.contains(&one.item));
        fates.extend(done.map(|one| (one.position, one.what.clone())));
    }
    Ok(Applied::All)
}

fn report(
    stored: &Table,
    decided: Plan,
    fates: &BTreeMap<usize, What>,
    options: &Options,
    surroundings: &Surroundings,
    screen: &mut Screen<'_>,
) -> Result<(), CliError> {
    let executor = surroundings.ways.as_ref().and_then(|ways| ways.executor.as_deref());
    let warnings = notes(stored, &decided.rows, Known { ec2: surroundings.ec2, executor });
    let rows: Vec<Planned> = decided
        .rows
        .into_iter()
        .map(|one| Planned { what: fates.get(&one.position).cloned().unwrap_or(one.what), ..one })
        .collect();
    if options.json {
        let rows: Vec<Value> = rows.iter().map(as_json).collect();
        screen.say(json!({"v": 1, "written": !options.dry_run, "rows": rows, "warnings": warnings}))?;
        return Ok(());
    }
    for warning in warnings {
        screen.tell(format!("warning: {warning}"))?;
    }
    for one in &rows {
        screen.say(line(one))?;
    }
    let count = |matching: fn(&What) -> bool| rows.iter().filter(|one| matching(&one.what)).count();
    screen.say(format!(
        "{}: {} added, {} changed, {} unchanged{}",
        counted(rows.len(), "row", "rows"),
        count(|what| *what == What::Added),
        count(|what| matches!(what, What::Changed(_))),
        count(|what| *what == What::Unchanged),
        if options.dry_run { " (a dry run: nothing was written)" } else { "" },
    ))?;
    Ok(())
}

fn line(one: &Planned) -> String {
    let row = &one.row;
    match &one.what {
        What::Added => format!("added      {row} -> {} {}", row.engine, row.lane().target),
        What::Changed(names) => format!("changed    {row}: {}", names.join(", ")),
        What::Unchanged => format!("unchanged  {row}"),
    }
}

fn as_json(one: &Planned) -> Value {
    let (what, changed) = match &one.what {
        What::Added => ("added", &[][..]),
        What::Changed(names) => ("changed", &names[..]),
        What::Unchanged => ("unchanged", &[][..]),
    };
    json!({"position": one.position, "pk": one.row.pk(), "sk": one.row.sk(), "lane": one.row.lane().id(),
        "what": what, "changed": changed})
}
