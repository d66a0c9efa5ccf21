//! Secrets and ledger rows in memory.

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;

use runnerless_aws::attributes::{to_attributes, to_item};
use runnerless_core::change::Item;
use serde_json::Value;
use zeroize::Zeroizing;

use super::{failed, locked};
use crate::ports::{LedgerReader, RemoteError, SecretStore};

/// The longest value of a standard parameter (characters).
const VALUE: usize = 4096;

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

    async fn names_below(&self, path: &str) -> Result<Vec<String>, RemoteError> {
        let below = format!("/{}/", path.trim_matches('/'));
        Ok(locked(&self.values).keys().filter(|name| name.starts_with(&below)).cloned().collect())
    }

    async fn put(&self, name: &str, value: &Zeroizing<String>) -> Result<(), RemoteError> {
        if !(1..=VALUE).contains(&value.chars().count()) {
            return Err(failed("PutParameter", "ValidationException: a value has 1 to 4096 characters"));
        }
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
    /// A row, under its own key.
    ///
    /// # Panics
    /// Without a `pk`, which the table does not take.
    pub fn put(&self, item: Value) {
        let (Some(pk), Some(row)) = (item["pk"].as_str().filter(|pk| !pk.is_empty()), item.as_object()) else {
            panic!("a row of the ledger has a pk: {item}")
        };
        locked(&self.rows).insert(pk.to_owned(), to_item(&to_attributes(row)));
    }
}

impl LedgerReader for FakeLedgerTable {
    async fn row(&self, pk: &str) -> Result<Option<Item>, RemoteError> {
        if pk.is_empty() {
            return Err(failed("GetItem", "ValidationException: an empty key"));
        }
        Ok(locked(&self.rows).get(pk).cloned())
    }
}
