//! Writing groups of changes as transactions.

use runnerless_aws_admin::ports::{Applied, MapChange, MappingStore, RemoteError, TRANSACTION};
use runnerless_core::change::Item;
use serde_json::Value;

use super::table::{REVISION, Table};

/// One transaction each: as many whole groups as fit beside the revision. A load of up to 99 changes is one.
pub(super) fn transactions(groups: Vec<Vec<MapChange>>) -> Vec<Vec<MapChange>> {
    let mut transactions: Vec<Vec<MapChange>> = Vec::new();
    for group in groups {
        match transactions.last_mut() {
            Some(last) if last.len() + group.len() < TRANSACTION => last.extend(group),
            _ => transactions.push(group),
        }
    }
    transactions
}

/// Writes one transaction and moves the revision on, so that of two loads that decided on the same table one is told.
pub(super) async fn write(
    store: &impl MappingStore,
    revision: &mut Option<Item>,
    mut changes: Vec<MapChange>,
) -> Result<Applied, RemoteError> {
    let next = after(revision.as_ref());
    changes.push(MapChange { before: revision.clone(), after: Some(next.clone()) });
    let applied = store.apply(&changes).await?;
    if applied == Applied::All {
        *revision = Some(next);
    }
    Ok(applied)
}

fn after(revision: Option<&Item>) -> Item {
    let n = revision.and_then(|item| item.get("n")).and_then(Value::as_u64).unwrap_or(0);
    let mut item = Item::new();
    item.insert("pk".into(), REVISION.0.into());
    item.insert("sk".into(), REVISION.1.into());
    item.insert("n".into(), n.saturating_add(1).into());
    item
}

/// Reads the table and sorts it.
pub(super) async fn table(store: &impl MappingStore) -> Result<Table, RemoteError> {
    Ok(Table::of(store.all().await?))
}

/// How often a command decides anew because somebody else wrote in between.
pub(super) const TRIES: u32 = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_stay_whole_and_leave_room_for_the_revision() {
        let change = MapChange { before: None, after: None };
        let groups: Vec<_> = (0..150).map(|at| vec![change.clone(); 1 + at % 2]).collect();
        let all = transactions(groups);
        assert_eq!(all.iter().map(Vec::len).sum::<usize>(), 225);
        assert!(all.iter().all(|one| one.len() < TRANSACTION), "{:?}", all.iter().map(Vec::len).collect::<Vec<_>>());
        assert_eq!(all.len(), 3);
    }
}
