//! What DynamoDB refuses, whoever asks: the tables in memory refuse the same, so that no test passes on what AWS would
//! not take.

use std::collections::BTreeSet;

use runnerless_core::change::{Item, Plan, Write};
use serde_json::Value;

use crate::error::{AwsError, Service};

/// The most changes of one transaction.
const TRANSACTION: usize = 100;
/// The longest partition key (bytes).
const KEY: usize = 2048;
/// The largest item (bytes).
const ITEM: usize = 400 * 1024;

/// An item as it is read back: an attribute that is null is not stored.
pub(super) fn stored(item: &Item) -> Item {
    let there = item.iter().filter(|(_, value)| !value.is_null());
    there.map(|(name, value)| (name.clone(), without_nulls(value))).collect()
}

fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(stored(map)),
        Value::Array(entries) => entries.iter().map(without_nulls).collect(),
        other => other.clone(),
    }
}

/// Keys that no table has.
pub(super) fn refuse_keys(keys: impl IntoIterator<Item = String>) -> Result<(), AwsError> {
    let bad = keys.into_iter().find(|key| key.is_empty() || key.len() > KEY);
    bad.map_or(Ok(()), |key| Err(refused("BatchGetItem", format!("a key of {} bytes", key.len()))))
}

/// Plans that no ledger applies.
pub(super) fn refuse_plan(plan: &Plan) -> Result<(), AwsError> {
    let no = |why: String| Err(refused("TransactWriteItems", why));
    if plan.changes.len() > TRANSACTION {
        return no(format!("{} changes in one transaction", plan.changes.len()));
    }
    let mut seen = BTreeSet::new();
    for change in &plan.changes {
        if !seen.insert(&change.pk) {
            return no(format!("two changes of the row {}", change.pk));
        }
        if change.pk.is_empty() || change.pk.len() > KEY {
            return no(format!("a key of {} bytes", change.pk.len()));
        }
        if let Write::Put(item) = &change.write
            && let Some(why) = unfit(item, &change.pk)
        {
            return no(format!("{}: {why}", change.pk));
        }
    }
    Ok(())
}

/// Why the ledger's table does not take this item.
fn unfit(item: &Item, pk: &str) -> Option<String> {
    if item.get("pk").and_then(Value::as_str) != Some(pk) {
        return Some("the row's key is another".to_owned());
    }
    // The keys of the index `due`: absent, or of their type.
    let open = item.get("open").filter(|value| !value.is_null());
    if open.is_some_and(|value| value.as_str().is_none_or(str::is_empty)) {
        return Some("open is no text, or empty".to_owned());
    }
    let at = item.get("next_check_at").filter(|value| !value.is_null());
    if at.is_some_and(|value| !value.is_number()) {
        return Some("next_check_at is no number".to_owned());
    }
    let bytes: usize = item.iter().map(|(name, value)| name.len() + size(value)).sum();
    (bytes > ITEM).then(|| format!("the item has {bytes} bytes"))
}

/// Bytes by DynamoDB's rules, numbers and nesting rounded down: what is near the limit is refused by AWS alone.
fn size(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 1,
        Value::String(text) => text.len(),
        Value::Array(entries) => entries.iter().map(size).sum(),
        Value::Object(map) => map.iter().map(|(name, value)| name.len() + size(value)).sum(),
    }
}

fn refused(operation: &'static str, why: String) -> AwsError {
    AwsError::Refused { service: Service::Ledger, operation, source: why.into() }
}
