//! What a load changes: pure.

use std::collections::{BTreeMap, BTreeSet};

use runnerless_aws_admin::ports::{FunctionFacts, MapChange, key};
use runnerless_core::change::Item;
use runnerless_core::lane::{Engine, Lane, TagSet};
use runnerless_core::route::{LaneEntry, MapRow, TargetFacts};

use super::agree::{Placed, difference, lanes, ties};
use super::merge::merge;
use super::table::{Key, row_key};
use super::{Problem, Table, Wanted};

/// What the loader knows beside the file and the table.
#[derive(Clone, Debug, Default)]
pub struct Stack {
    /// What AWS says about each function that the file names.
    pub functions: BTreeMap<String, FunctionFacts>,
    /// The lane of the default route, when it is known and there is one. It has no row.
    pub default_lane: Option<Lane>,
}

/// What becomes of one row of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// It is new.
    Added,
    /// These attributes of the stored row change.
    Changed(Vec<String>),
    /// It stands already.
    Unchanged,
}

/// One row of the file and its fate.
#[derive(Clone, Debug, PartialEq)]
pub struct Planned {
    /// Which row of the file, from 1.
    pub position: usize,
    /// The row as it will stand.
    pub row: MapRow,
    /// Its attributes, under the key that it has: tags that somebody wrote in another order stay so.
    pub item: Item,
    /// Its fate.
    pub what: What,
}

/// A load that is accepted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// Each row of the file, in the file's order.
    pub rows: Vec<Planned>,
    /// The writes, in groups that must not be torn apart.
    pub groups: Vec<Vec<MapChange>>,
}

/// Decides a load.
///
/// # Errors
/// Every reason to refuse it. Then nothing may be written.
pub fn plan(table: &Table, wanted: &[Wanted], stack: &Stack, replace: bool) -> Result<Plan, Vec<Problem>> {
    let planned = rows(table, wanted, stack, replace)?;
    agreed(table, &planned, stack)?;
    let touched: BTreeSet<TagSet> = planned.iter().map(|one| one.row.tags.clone()).collect();
    let mut groups = Vec::new();
    for tags in touched {
        let of_tags: Vec<&Planned> = planned.iter().filter(|one| one.row.tags == tags).collect();
        let stored = table.entries.get(&tags).map(|entry| &entry.item);
        let entry = of_tags.first().map(|one| at_key_of(stored, LaneEntry::of(&one.row).to_item()));
        // The entry is written with the first of its rows: neither ever stands alone.
        let mut group = Vec::from_iter(change(stored, entry));
        for one in of_tags {
            let stored = table.rows.get(&row_key(&one.row)).map(|stored| &stored.item);
            if let Some(change) = change(stored, Some(one.item.clone())) {
                group.push(change);
                groups.push(std::mem::take(&mut group));
            }
        }
        groups.push(group);
    }
    groups.retain(|group| !group.is_empty());
    Ok(Plan { rows: planned, groups })
}

fn rows(table: &Table, wanted: &[Wanted], stack: &Stack, replace: bool) -> Result<Vec<Planned>, Vec<Problem>> {
    let (mut planned, mut problems) = (Vec::new(), Vec::new());
    for one in wanted {
        match planned_row(table, one, stack, replace) {
            Ok(row) => planned.push(row),
            Err(what) => problems.push(Problem::of(one.position, &one.row, what)),
        }
    }
    if problems.is_empty() { Ok(planned) } else { Err(problems) }
}

fn planned_row(table: &Table, one: &Wanted, stack: &Stack, replace: bool) -> Result<Planned, String> {
    let row = MapRow { target: facts(&one.row, stack)?, ..one.row.clone() };
    let at = row_key(&row);
    if let Some((_, bad)) = table.unreadable.get(&at) {
        return Err(format!(
            "the stored row cannot be read ({} {}); correct or delete it first",
            bad.field, bad.problem
        ));
    }
    let planned = |row: MapRow, item, what| Planned { position: one.position, row, item, what };
    let Some(stored) = table.rows.get(&at) else {
        let item = row.to_item();
        return Ok(planned(row, item, What::Added));
    };
    if let Some((pk, sk)) = table.doubled.iter().find(|(_, item)| is_row(item, &at)).map(|(key, _)| key) {
        return Err(format!("it is stored twice, also as {pk} {sk}; delete that one first"));
    }
    let row = merge(&stored.row, &row, replace)?;
    let item = at_key_of(Some(&stored.item), row.to_item());
    let what = if item == stored.item { What::Unchanged } else { What::Changed(changed(&stored.item, &item)) };
    Ok(planned(row, item, what))
}

/// The names of the attributes that differ.
fn changed(before: &Item, after: &Item) -> Vec<String> {
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    names.into_iter().filter(|name| before.get(*name) != after.get(*name)).cloned().collect()
}

/// Whether an item is the row of this key, its tags in whatever order.
fn is_row(item: &Item, at: &Key) -> bool {
    MapRow::from_item(item).is_ok_and(|row| row_key(&row) == *at)
}

fn facts(row: &MapRow, stack: &Stack) -> Result<TargetFacts, String> {
    let (Engine::Lambda, Some(arn)) = (row.engine, &row.arn) else { return Ok(TargetFacts::default()) };
    let facts = stack.functions.get(arn).ok_or_else(|| {
        format!("arn {arn} names a function that does not exist in this account and region; create it first")
    })?;
    Ok(TargetFacts { tenancy: Some(facts.tenancy), timeout_s: Some(facts.timeout_s), retries: Some(facts.retries) })
}

/// Whether the table would hold to its rules with these rows in it.
fn agreed(table: &Table, planned: &[Planned], stack: &Stack) -> Result<(), Vec<Problem>> {
    let ours: BTreeSet<Key> = planned.iter().map(|one| row_key(&one.row)).collect();
    let others = table.rows.iter().filter(|(at, _)| !ours.contains(*at));
    let mut all: Vec<Placed<'_>> = others.map(|(_, stored)| Placed { position: None, row: &stored.row }).collect();
    all.extend(planned.iter().map(|one| Placed { position: Some(one.position), row: &one.row }));
    let mut problems = lanes(&all);
    problems.extend(planned.iter().filter_map(|one| claimed(table, one, stack)));
    problems.extend(ties(&all));
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

/// Whether something that has no row claims the row's tag set for another lane.
fn claimed(table: &Table, one: &Planned, stack: &Stack) -> Option<Problem> {
    let lane = one.row.lane();
    if let Some(default) = stack.default_lane.as_ref().filter(|default| default.tags == lane.tags) {
        // Whether the default lane runs untagged jobs is said in GitLab, not here.
        let default = Lane { run_untagged: lane.run_untagged, ..default.clone() };
        if let Some(difference) = difference(&lane, &default) {
            let what = format!(
                "the default route's runner has the same tags {} and another {difference} ({} {}); give the row other \
                 tags, or the same target",
                lane.tags, default.engine, default.target
            );
            return Some(Problem::of(one.position, &one.row, what));
        }
    }
    let entry = &table.entries.get(&lane.tags)?.entry.lane;
    // Where there are rows, they speak for the lane; all of them are in agreement already.
    if table.of_tags(&lane.tags).next().is_some() {
        return None;
    }
    let difference = difference(&lane, entry)?;
    let sk = lane.tags.sort_key();
    let what = format!(
        "the lane entry of {} has another {difference} ({} {}) and no row; when nothing uses it, run `runnerless map \
         delete lanes {sk}`",
        lane.tags, entry.engine, entry.target
    );
    Some(Problem::of(one.position, &one.row, what))
}

/// `after` under the key that `before` has.
fn at_key_of(before: Option<&Item>, mut after: Item) -> Item {
    if let Some((pk, sk)) = before.and_then(key) {
        after.insert("pk".into(), pk.into());
        after.insert("sk".into(), sk.into());
    }
    after
}

/// The change that makes `after` of `before`, if there is one.
fn change(before: Option<&Item>, after: Option<Item>) -> Option<MapChange> {
    (before != after.as_ref()).then(|| MapChange { before: before.cloned(), after })
}
