//! The mapping table in memory.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Mutex;

use runnerless_aws::attributes::{to_attributes, to_item};
use runnerless_core::change::Item;

use super::{failed, locked};
use crate::ports::{Applied, MapChange, MappingStore, RemoteError, TRANSACTION, key};

/// The largest item (bytes).
const ITEM: usize = 400 * 1024;

/// The mapping table in memory.
#[derive(Debug, Default)]
pub struct FakeMappingTable {
    rows: Mutex<BTreeMap<(String, String), Item>>,
    meanwhile: Mutex<VecDeque<Item>>,
    writes: Mutex<Vec<usize>>,
}

impl FakeMappingTable {
    /// Writes a row as it is, whatever is there; rows without `pk` and `sk` are not taken, as in DynamoDB.
    pub fn put(&self, item: Item) {
        if let Some((pk, sk)) = key(&item) {
            let at = (pk.to_owned(), sk.to_owned());
            locked(&self.rows).insert(at, stored(&item));
        }
    }

    /// Somebody else writes this row just before the next transaction; several calls, several transactions.
    pub fn meanwhile(&self, item: Item) {
        locked(&self.meanwhile).push_back(item);
    }

    /// Every row, by key.
    #[must_use]
    pub fn rows(&self) -> Vec<Item> {
        locked(&self.rows).values().cloned().collect()
    }

    /// How many changes each transaction had that was applied.
    #[must_use]
    pub fn writes(&self) -> Vec<usize> {
        locked(&self.writes).clone()
    }
}

impl MappingStore for FakeMappingTable {
    async fn all(&self) -> Result<Vec<Item>, RemoteError> {
        Ok(self.rows())
    }

    async fn apply(&self, changes: &[MapChange]) -> Result<Applied, RemoteError> {
        if let Some(item) = locked(&self.meanwhile).pop_front() {
            self.put(item);
        }
        if changes.len() > TRANSACTION {
            return Err(failed("TransactWriteItems", "more than 100 changes in one transaction"));
        }
        let mut seen = BTreeSet::new();
        let mut next = locked(&self.rows).clone();
        let mut conflict = false;
        for change in changes {
            let Some((pk, sk)) = change.key() else {
                return Err(failed("TransactWriteItems", "a row without pk and sk"));
            };
            let at = (pk.to_owned(), sk.to_owned());
            if !seen.insert(at.clone()) {
                return Err(failed("TransactWriteItems", "two changes of one row"));
            }
            if change.after.as_ref().is_some_and(|after| bytes(after) > ITEM) {
                return Err(failed("TransactWriteItems", "a row larger than 400 KB"));
            }
            conflict |= locked(&self.rows).get(&at) != change.before.as_ref().map(stored).as_ref();
            match &change.after {
                Some(after) if key(after) != change.key() => {
                    return Err(failed("TransactWriteItems", "a change of a row's keys"));
                }
                Some(after) => next.insert(at, stored(after)),
                None => next.remove(&at),
            };
        }
        if conflict {
            return Ok(Applied::Conflict);
        }
        *locked(&self.rows) = next;
        locked(&self.writes).push(changes.len());
        Ok(Applied::All)
    }
}

/// An item as it is read back: what is null is not stored.
fn stored(item: &Item) -> Item {
    to_item(&to_attributes(item))
}

/// Bytes of an item, as JSON has it.
fn bytes(item: &Item) -> usize {
    item.iter().map(|(name, value)| name.len() + value.to_string().len()).sum()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn item(pk: &str, arn: &str) -> Item {
        let serde_json::Value::Object(item) = json!({"pk": pk, "sk": "tags#", "arn": arn}) else { panic!("no object") };
        item
    }

    #[tokio::test]
    async fn changes_are_applied_together_or_not_at_all() {
        let table = FakeMappingTable::default();
        table.put(item("job#a", "1"));
        let create = MapChange { before: None, after: Some(item("job#b", "1")) };
        let stale = MapChange { before: Some(item("job#a", "0")), after: None };
        assert_eq!(table.apply(&[create.clone(), stale]).await.unwrap(), Applied::Conflict);
        assert_eq!(table.rows(), [item("job#a", "1")]);
        let fresh = MapChange { before: Some(item("job#a", "1")), after: None };
        assert_eq!(table.apply(&[create, fresh]).await.unwrap(), Applied::All);
        assert_eq!(table.rows(), [item("job#b", "1")]);
    }

    #[tokio::test]
    async fn a_change_with_both_sides_alike_only_checks() {
        let table = FakeMappingTable::default();
        let same = MapChange { before: Some(item("job#a", "1")), after: Some(item("job#a", "1")) };
        assert_eq!(table.apply(std::slice::from_ref(&same)).await.unwrap(), Applied::Conflict);
        table.put(item("job#a", "1"));
        assert_eq!(table.apply(&[same]).await.unwrap(), Applied::All);
        table.meanwhile(item("job#a", "2"));
        let late = MapChange { before: Some(item("job#a", "1")), after: None };
        assert_eq!(table.apply(&[late]).await.unwrap(), Applied::Conflict);
    }
}
