//! The mapping table in DynamoDB, as its operator sees it.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{AttributeValue, CancellationReason, KeysAndAttributes};
use runnerless_aws::attributes::to_item;
use runnerless_aws::{Credentials, Place};
use runnerless_core::change::Item;

use super::failure::Operation;
use super::write::{Raw, key, transact_item};
use crate::ports::{Applied, MapChange, MappingStore, RemoteError};

const SCAN: Operation = Operation::new("Scan", "dynamodb:Scan");
const READ: Operation = Operation::new("BatchGetItem", "dynamodb:BatchGetItem");
const WRITE: Operation =
    Operation::new("TransactWriteItems", "dynamodb:PutItem, dynamodb:DeleteItem and dynamodb:ConditionCheckItem");

/// How often a batch that was answered in part, or a transaction that met another one, is tried again at once.
const TRIES: usize = 5;

/// The mapping's table.
#[derive(Clone, Debug)]
pub struct MappingTable {
    client: Client,
    table: String,
}

impl MappingTable {
    /// For this table.
    #[must_use]
    pub fn new(place: &Place, credentials: &Credentials, table: impl Into<String>) -> Self {
        Self { client: runnerless_aws::client!(aws_sdk_dynamodb, place, credentials), table: table.into() }
    }

    /// The rows of these changes as DynamoDB has them now, by key.
    async fn raw(&self, changes: &[MapChange]) -> Result<HashMap<(String, String), Raw>, RemoteError> {
        let mut rows = HashMap::new();
        let mut wanted: Vec<Raw> = changes.iter().filter_map(MapChange::key).map(|(pk, sk)| key(pk, sk)).collect();
        for _ in 0..TRIES {
            if wanted.is_empty() {
                return Ok(rows);
            }
            let keys = KeysAndAttributes::builder().consistent_read(true).set_keys(Some(wanted)).build();
            let keys = keys.map_err(|error| READ.unusable(error))?;
            let call = self.client.batch_get_item().request_items(&self.table, keys);
            let answer = call.send().await.map_err(|error| READ.on_table(&self.table, error))?;
            for raw in answer.responses.unwrap_or_default().into_values().flatten() {
                let text = |name: &str| raw.get(name).and_then(|value| value.as_s().ok()).cloned();
                if let (Some(pk), Some(sk)) = (text("pk"), text("sk")) {
                    rows.insert((pk, sk), raw);
                }
            }
            wanted =
                answer.unprocessed_keys.unwrap_or_default().remove(&self.table).map_or_else(Vec::new, |left| left.keys);
        }
        if wanted.is_empty() { Ok(rows) } else { Err(READ.unusable(format!("{} rows were not read", wanted.len()))) }
    }
}

impl MappingStore for MappingTable {
    async fn all(&self) -> Result<Vec<Item>, RemoteError> {
        let mut items = Vec::new();
        let mut from: Option<HashMap<String, AttributeValue>> = None;
        loop {
            let call = self.client.scan().table_name(&self.table).consistent_read(true).set_exclusive_start_key(from);
            let answer = call.send().await.map_err(|error| SCAN.on_table(&self.table, error))?;
            items.extend(answer.items.unwrap_or_default().iter().map(to_item));
            from = answer.last_evaluated_key.filter(|key| !key.is_empty());
            if from.is_none() {
                return Ok(items);
            }
        }
    }

    async fn apply(&self, changes: &[MapChange]) -> Result<Applied, RemoteError> {
        if changes.is_empty() {
            return Ok(Applied::All);
        }
        // The rows are read once more, because our JSON forgets what DynamoDB tells apart (a set is a list to us), and
        // the condition must say it as DynamoDB has it. It also shows attributes that somebody added meanwhile.
        let stored = self.raw(changes).await?;
        let mut items = Vec::with_capacity(changes.len());
        for change in changes {
            let (pk, sk) = change.key().ok_or_else(|| WRITE.unusable("a row without pk and sk"))?;
            let raw = stored.get(&(pk.to_owned(), sk.to_owned()));
            if raw.map(to_item) != change.before {
                return Ok(Applied::Conflict);
            }
            items.push(transact_item(&self.table, change, raw).map_err(|error| WRITE.unusable(error))?);
        }
        for _ in 0..TRIES {
            // The SDK draws a token for each call and keeps it over its own retries.
            let call = self.client.transact_write_items().set_transact_items(Some(items.clone()));
            let Err(error) = call.send().await else { return Ok(Applied::All) };
            let reasons = match error.as_service_error() {
                Some(TransactWriteItemsError::TransactionCanceledException(canceled)) => {
                    canceled.cancellation_reasons()
                }
                _ => return Err(WRITE.on_table(&self.table, error)),
            };
            if has(reasons, "ConditionalCheckFailed") {
                return Ok(Applied::Conflict);
            }
            if !has(reasons, "TransactionConflict") {
                return Err(WRITE.failure(error));
            }
        }
        // Another transaction keeps the rows busy: as good as changed by it.
        Ok(Applied::Conflict)
    }
}

fn has(reasons: &[CancellationReason], code: &str) -> bool {
    reasons.iter().any(|reason| reason.code() == Some(code))
}
