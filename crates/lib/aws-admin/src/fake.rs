//! In-memory stand-ins with the same conditional writes, and failures on demand.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use runnerless_core::change::Item;
use zeroize::Zeroizing;

use crate::ports::{
    Applied, FunctionFacts, Functions, LedgerReader, MapChange, MappingStore, RemoteError, SecretStore, TRANSACTION,
    key,
};

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn failed(operation: &'static str, why: &str) -> RemoteError {
    RemoteError::Failed { operation, source: why.into() }
}

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
            locked(&self.rows).insert(at, item);
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
        let mut next = locked(&self.rows).clone();
        for change in changes {
            let Some((pk, sk)) = change.key() else {
                return Err(failed("TransactWriteItems", "a row without pk and sk"));
            };
            let at = (pk.to_owned(), sk.to_owned());
            if locked(&self.rows).get(&at) != change.before.as_ref() {
                return Ok(Applied::Conflict);
            }
            match &change.after {
                Some(after) if key(after) != change.key() => {
                    return Err(failed("TransactWriteItems", "a change of a row's keys"));
                }
                Some(after) => next.insert(at, after.clone()),
                None => next.remove(&at),
            };
        }
        *locked(&self.rows) = next;
        locked(&self.writes).push(changes.len());
        Ok(Applied::All)
    }
}

/// Functions that only have settings.
#[derive(Debug, Default)]
pub struct FakeFunctions {
    known: Mutex<HashMap<String, FunctionFacts>>,
    refusing: Mutex<bool>,
}

impl FakeFunctions {
    /// A function, by its name or ARN.
    pub fn put(&self, function: &str, facts: FunctionFacts) {
        locked(&self.known).insert(function.to_owned(), facts);
    }

    /// From now on the caller may not read settings, or may.
    pub fn refuse(&self, refusing: bool) {
        *locked(&self.refusing) = refusing;
    }
}

impl Functions for FakeFunctions {
    async fn facts(&self, function: &str) -> Result<Option<FunctionFacts>, RemoteError> {
        if *locked(&self.refusing) {
            return Err(RemoteError::Denied {
                operation: "GetFunctionConfiguration",
                right: "lambda:GetFunctionConfiguration",
                source: "the test said so".into(),
            });
        }
        Ok(locked(&self.known).get(function).cloned())
    }
}

/// Secrets in memory.
#[derive(Debug, Default)]
pub struct FakeSecrets {
    values: Mutex<BTreeMap<String, Zeroizing<String>>>,
}

impl FakeSecrets {
    /// A parameter's value.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<String> {
        locked(&self.values).get(name).map(|value| value.to_string())
    }

    /// The parameters' names.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        locked(&self.values).keys().cloned().collect()
    }
}

impl SecretStore for FakeSecrets {
    async fn get(&self, name: &str) -> Result<Option<Zeroizing<String>>, RemoteError> {
        Ok(locked(&self.values).get(name).cloned())
    }

    async fn put(&self, name: &str, value: &Zeroizing<String>) -> Result<(), RemoteError> {
        locked(&self.values).insert(name.to_owned(), value.clone());
        Ok(())
    }
}

/// Ledger rows in memory.
#[derive(Debug, Default)]
pub struct FakeLedgerTable {
    rows: Mutex<HashMap<String, Item>>,
}

impl FakeLedgerTable {
    /// A row.
    pub fn put(&self, pk: &str, item: Item) {
        locked(&self.rows).insert(pk.to_owned(), item);
    }
}

impl LedgerReader for FakeLedgerTable {
    async fn row(&self, pk: &str) -> Result<Option<Item>, RemoteError> {
        Ok(locked(&self.rows).get(pk).cloned())
    }
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
