//! `map delete`: rows go, and a lane's entry goes with its last row.

use std::collections::BTreeSet;

use runnerless_aws_admin::ports::{Applied, MapChange, MappingStore, key};
use runnerless_core::change::Item;
use runnerless_core::lane::TagSet;
use runnerless_core::route::{LANES_PK, MapRow};
use serde_json::Value;

use super::merge::owner_of;
use super::table::Key;
use super::write::{TRIES, table, transactions, write};
use super::{Problem, Table};
use crate::error::{CliError, counted};
use crate::screen::Screen;

/// Decides a deletion, in groups that must not be torn apart.
///
/// # Errors
/// Every reason to refuse it. Then nothing may be deleted.
pub fn deletion(table: &Table, keys: &BTreeSet<Key>, owner: Option<&str>) -> Result<Vec<Vec<MapChange>>, Vec<Problem>> {
    let (mut gone, mut problems) = (Vec::new(), Vec::new());
    for at in keys {
        match chosen(table, at, owner) {
            Ok(item) => gone.push(item),
            Err(what) => problems.push(Problem::stored(format!("{} {}", at.0, at.1), what)),
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let left: Vec<&Item> = all_rows(table).filter(|item| !gone.contains(item)).collect();
    let mut emptied: BTreeSet<TagSet> = gone.iter().filter_map(|item| tags_of(item)).collect();
    emptied.retain(|tags| !left.iter().any(|item| tags_of(item).as_ref() == Some(tags)));
    let mut groups: Vec<Vec<MapChange>> = Vec::new();
    for item in gone {
        groups.push(vec![MapChange { before: Some(item.clone()), after: None }]);
    }
    // A lane's entry goes in one transaction with the lane's last row, so that neither is ever left alone.
    for tags in emptied {
        let (Some(entry), Some(last)) = (
            table.entries.get(&tags),
            groups.iter_mut().rev().find(|group| group[0].before.as_ref().and_then(tags_of).as_ref() == Some(&tags)),
        ) else {
            continue;
        };
        last.push(MapChange { before: Some(entry.item.clone()), after: None });
    }
    Ok(groups)
}

/// The item that the key names, when this person may delete it.
fn chosen<'a>(table: &'a Table, at: &Key, owner: Option<&str>) -> Result<&'a Item, String> {
    if at.0 == LANES_PK
        && let Some((tags, entry)) = table.entries.iter().find(|(_, entry)| has_key(&entry.item, at))
    {
        return match table.of_tags(tags).next() {
            Some(stored) => Err(format!("its lane has rows, such as {}; it goes with the last of them", stored.row)),
            None => Ok(&entry.item),
        };
    }
    if let Some((item, _)) = table.unreadable.get(at) {
        return match item.get("owner").and_then(Value::as_str) {
            Some(other) if owner != Some(other) => Err(format!("is {other:?}'s; delete it with --owner {other}")),
            _ => Ok(item),
        };
    }
    let item = all_rows(table).find(|item| has_key(item, at));
    let item = item.ok_or("is not in the table; `runnerless map list` shows the rows' keys")?;
    match MapRow::from_item(item) {
        Ok(row) if row.owner.as_deref() != owner => match &row.owner {
            Some(other) => Err(format!("is {}; delete it with --owner {other}", owner_of(&row))),
            None => Err("is nobody's; delete it without --owner".into()),
        },
        _ => Ok(item),
    }
}

/// The key that a row has in the table: one whose tags stand in another order is also named by the key in order, which
/// `map list` shows.
fn real(table: &Table, at: Key) -> Key {
    if all_rows(table).any(|item| has_key(item, &at)) {
        return at;
    }
    let stored = table.rows.get(&at).and_then(|stored| key(&stored.item));
    stored.map_or(at, |(pk, sk)| (pk.to_owned(), sk.to_owned()))
}

fn all_rows(table: &Table) -> impl Iterator<Item = &Item> {
    table.rows.values().map(|stored| &stored.item).chain(table.doubled.values())
}

fn has_key(item: &Item, at: &Key) -> bool {
    key(item) == Some((&at.0, &at.1))
}

fn tags_of(item: &Item) -> Option<TagSet> {
    MapRow::from_item(item).ok().map(|row| row.tags)
}

/// Deletes rows by their keys.
///
/// # Errors
/// The deletion is refused, AWS could not be asked, or others kept writing.
pub async fn delete(
    store: &impl MappingStore,
    keys: &BTreeSet<Key>,
    owner: Option<&str>,
    screen: &mut Screen<'_>,
) -> Result<(), CliError> {
    let mut left = keys.clone();
    for _ in 0..TRIES {
        let stored = table(store).await?;
        left = left.into_iter().map(|at| real(&stored, at)).collect();
        let written = keys.len().saturating_sub(left.len());
        let groups = deletion(&stored, &left, owner).map_err(|problems| CliError::Refused { problems, written })?;
        let mut revision = stored.revision.clone();
        let mut applied = Applied::All;
        for changes in transactions(groups) {
            let gone: Vec<Key> =
                changes.iter().filter_map(MapChange::key).map(|(pk, sk)| (pk.to_owned(), sk.to_owned())).collect();
            applied = write(store, &mut revision, changes).await?;
            if applied == Applied::Conflict {
                break;
            }
            gone.iter().for_each(|at| {
                left.remove(at);
            });
        }
        if applied == Applied::All {
            for (pk, sk) in keys {
                screen.say(format!("deleted    {pk} {sk}"))?;
            }
            screen.say(counted(keys.len(), "row deleted", "rows deleted"))?;
            return Ok(());
        }
    }
    Err(CliError::Contended { what: "the mapping", times: TRIES })
}
