//! The ledger in DynamoDB.
//!
//! Every write is conditional on the revision that was read, so that repeating one is harmless, and a plan of several
//! rows is one transaction. A refusal is looked into before it is called a conflict: the write may have been ours, its
//! answer lost. So that it is ours that stands, and not what another process wrote alike in the same millisecond, each row
//! says who wrote it.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{
    AttributeValue, CancellationReason, ConditionCheck, KeysAndAttributes, Put, ReturnValuesOnConditionCheckFailure,
    TransactWriteItem,
};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use runnerless_core::chain::chain;
use runnerless_core::change::{Change, Expect, Item, Plan, RowKey, SCHEMA, Write};
use runnerless_core::live::{LIVE_PK, counts};
use runnerless_core::route::Learned;
use runnerless_core::time::Timestamp;
use tokio::time::sleep;

use super::failure::failure;
use crate::attributes::{to_attributes, to_item};
use crate::error::{AwsError, Service};
use crate::place::{Credentials, Place};
use crate::ports::{Applied, DueRow, Ledger, Rows};

/// DynamoDB reads at most this many items in one batch.
const BATCH: usize = 100;
/// Batches that are read at once.
const BATCHES_AT_ONCE: usize = 4;
/// How often a batch that was answered in part, or a transaction that met another one, is tried again at once.
const TRIES: u32 = 5;
/// How long a row is left alone that another transaction is writing; those take a few milliseconds.
const COLLISION_PAUSE: Duration = Duration::from_millis(15);
/// Why a transaction is cancelled that met another one.
const COLLISION: &str = "TransactionConflict";
/// The pause before what a batch left out is asked for again; grows with each try.
const BATCH_PAUSE: Duration = Duration::from_millis(50);

/// The attribute that says which process wrote a row; no row kind has it.
const WRITER: &str = "writer";
/// Bytes of a writer's name: of two processes that write the same row alike, one in 2^64 pairs has one name.
const WRITER_BYTES: usize = 8;

/// The ledger's table.
#[derive(Clone, Debug)]
pub struct DynamoLedger {
    client: Client,
    table: String,
    writer: String,
}

impl DynamoLedger {
    /// For this table, as a writer of its own.
    ///
    /// # Panics
    /// When the system has no random numbers.
    #[must_use]
    pub fn new(place: &Place, credentials: &Credentials, table: impl Into<String>) -> Self {
        let mut name = [0; WRITER_BYTES];
        aws_lc_rs::rand::fill(&mut name).expect("Linux always has randomness once it is up");
        let writer = u64::from_be_bytes(name);
        Self {
            client: crate::client!(aws_sdk_dynamodb, place, credentials),
            table: table.into(),
            writer: format!("{writer:016x}"),
        }
    }

    /// The same as the writer of this name.
    #[must_use]
    pub fn as_writer(self, writer: impl Into<String>) -> Self {
        Self { writer: writer.into(), ..self }
    }

    /// A row as this writer writes it.
    fn signed(&self, item: &Item) -> HashMap<String, AttributeValue> {
        let mut attributes = to_attributes(item);
        attributes.insert(WRITER.to_owned(), text(&self.writer));
        attributes
    }

    async fn get(&self, pk: &str) -> Result<Option<Stored>, AwsError> {
        let call = self.client.get_item().table_name(&self.table).key("pk", text(pk)).consistent_read(true);
        let answer = call.send().await.map_err(|error| failure(Service::Ledger, "GetItem", error))?;
        Ok(answer.item.as_ref().map(Stored::new))
    }

    async fn batch(&self, pks: Vec<String>) -> Result<Rows, AwsError> {
        let mut rows = Rows::default();
        let mut wanted: Vec<HashMap<String, AttributeValue>> = pks.iter().map(|pk| key(pk)).collect();
        for tries in 0..TRIES {
            sleep(BATCH_PAUSE * tries).await;
            let keys = KeysAndAttributes::builder().consistent_read(true).set_keys(Some(wanted)).build();
            let keys = keys.map_err(|error| unusable("BatchGetItem", error))?;
            let call = self.client.batch_get_item().request_items(&self.table, keys);
            let answer = call.send().await.map_err(|error| failure(Service::Ledger, "BatchGetItem", error))?;
            for item in answer.responses.unwrap_or_default().into_values().flatten() {
                let Stored { item, .. } = Stored::new(&item);
                if let Some(pk) = item.get("pk").and_then(serde_json::Value::as_str) {
                    rows.0.insert(pk.to_owned(), item);
                }
            }
            wanted =
                answer.unprocessed_keys.unwrap_or_default().remove(&self.table).map_or_else(Vec::new, |left| left.keys);
            if wanted.is_empty() {
                return Ok(rows);
            }
        }
        Err(AwsError::Throttled {
            service: Service::Ledger,
            operation: "BatchGetItem",
            source: format!("{} rows were not read in {TRIES} tries", wanted.len()).into(),
        })
    }

    /// One row: a plain conditional write costs half of a transaction.
    async fn put(&self, change: &Change, item: &Item) -> Result<Written, AwsError> {
        let condition = Condition::of(change.expect);
        let call = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(self.signed(item)))
            .condition_expression(condition.expression)
            .set_expression_attribute_values(condition.values)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        match call.send().await {
            Ok(_) => Ok(Written::All),
            Err(error) => match error.as_service_error() {
                Some(PutItemError::ConditionalCheckFailedException(refused)) => {
                    Ok(Written::Refused(refused.item.as_ref().map(Stored::new)))
                }
                // The row is in a transaction of somebody else at this moment: as good as changed by it. The SDK takes
                // this for final, and a hook that is refused for it would be lost.
                Some(PutItemError::TransactionConflictException(_)) => {
                    sleep(COLLISION_PAUSE).await;
                    Ok(Written::Busy)
                }
                _ => Err(failure(Service::Ledger, "PutItem", error)),
            },
        }
    }

    /// Writes a row whatever is there: of those that are no part of a move.
    async fn replace(&self, item: &Item) -> Result<(), AwsError> {
        let call = self.client.put_item().table_name(&self.table).set_item(Some(to_attributes(item)));
        call.send().await.map(|_| ()).map_err(|error| failure(Service::Ledger, "PutItem", error))
    }

    async fn transact(&self, changes: &[Change]) -> Result<Written, AwsError> {
        let items: Vec<_> = changes.iter().map(|change| self.transact_item(change)).collect::<Result<_, _>>()?;
        let mut tries = 0;
        loop {
            tries += 1;
            // The SDK draws a token for each call and keeps it over its own retries.
            let call = self.client.transact_write_items().set_transact_items(Some(items.clone()));
            let error = match call.send().await {
                Ok(_) => return Ok(Written::All),
                Err(error) => error,
            };
            let reasons = match error.as_service_error() {
                Some(TransactWriteItemsError::TransactionCanceledException(canceled)) => {
                    canceled.cancellation_reasons()
                }
                _ => return Err(failure(Service::Ledger, "TransactWriteItems", error)),
            };
            match cancelled(reasons) {
                Cancelled::Condition => return Ok(refused(changes, reasons)),
                Cancelled::Collision if tries < TRIES => sleep(COLLISION_PAUSE * tries).await,
                Cancelled::Collision => return Ok(Written::Busy),
                Cancelled::Throttled => {
                    return Err(AwsError::Throttled {
                        service: Service::Ledger,
                        operation: "TransactWriteItems",
                        source: Box::new(error),
                    });
                }
                Cancelled::Otherwise => return Err(failure(Service::Ledger, "TransactWriteItems", error)),
            }
        }
    }

    fn transact_item(&self, change: &Change) -> Result<TransactWriteItem, AwsError> {
        let condition = Condition::of(change.expect);
        let item = match &change.write {
            Write::Put(item) => {
                let put = Put::builder()
                    .table_name(&self.table)
                    .set_item(Some(self.signed(item)))
                    .condition_expression(condition.expression)
                    .set_expression_attribute_values(condition.values)
                    .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
                let put = put.build().map_err(|error| unusable("TransactWriteItems", error))?;
                TransactWriteItem::builder().put(put)
            }
            Write::Check => {
                let check = ConditionCheck::builder()
                    .table_name(&self.table)
                    .set_key(Some(key(&change.pk)))
                    .condition_expression(condition.expression)
                    .set_expression_attribute_values(condition.values);
                let check = check.build().map_err(|error| unusable("TransactWriteItems", error))?;
                TransactWriteItem::builder().condition_check(check)
            }
        };
        Ok(item.build())
    }

    /// Whether a plan is applied, by this call or by an earlier one of this process: then its first row stands as it was to be
    /// written. What another process decided upon the same row in the same millisecond may be equal to it, and is not ours.
    async fn is_applied(&self, plan: &Plan, written: Written) -> Result<bool, AwsError> {
        let stands = match (written, first_put(&plan.changes)) {
            (Written::All, _) => return Ok(true),
            (Written::Refused(stands), _) => stands,
            (Written::Busy, Some((_, change))) => self.get(&change.pk).await?,
            (Written::Busy, None) => None,
        };
        let wanted = first_put(&plan.changes).map(|(_, change)| &change.write);
        Ok(stands.is_some_and(|Stored { item, writer }| {
            writer.as_ref() == Some(&self.writer) && wanted == Some(&Write::Put(item))
        }))
    }

    /// Adds to the counts. They are soft: a failure is worth no more than the sweep's next count.
    async fn add(&self, plan: &Plan) {
        let counts = counts(plan);
        if counts.is_empty() {
            return;
        }
        let mut call = self.client.update_item().table_name(&self.table).key("pk", text(LIVE_PK));
        let mut parts = Vec::new();
        for (at, (name, delta)) in counts.iter().enumerate() {
            parts.push(format!("#n{at} :d{at}"));
            call = call
                .expression_attribute_names(format!("#n{at}"), name)
                .expression_attribute_values(format!(":d{at}"), AttributeValue::N(delta.to_string()));
        }
        if let Err(error) = call.update_expression(format!("ADD {}", parts.join(", "))).send().await {
            tracing::warn!(target: "runnerless", error = chain(&error), "the live launches were not counted; the sweep counts again");
        }
    }
}

impl Ledger for DynamoLedger {
    async fn load(&self, keys: &[RowKey]) -> Result<Rows, AwsError> {
        let mut pks: Vec<String> = keys.iter().map(RowKey::pk).collect();
        pks.sort();
        pks.dedup();
        let mut rows = Rows::default();
        if let [pk] = &pks[..] {
            rows.0.extend(self.get(pk).await?.map(|stored| (pk.clone(), stored.item)));
            return Ok(rows);
        }
        let batches = stream::iter(pks.chunks(BATCH).map(<[String]>::to_vec).collect::<Vec<_>>());
        let batches = batches.map(|pks| self.batch(pks)).buffer_unordered(BATCHES_AT_ONCE);
        let read: Vec<Rows> = batches.try_collect().await?;
        rows.0.extend(read.into_iter().flat_map(|rows| rows.0));
        Ok(rows)
    }

    async fn apply(&self, plan: &Plan) -> Result<Applied, AwsError> {
        let written = match &plan.changes[..] {
            [] => return Ok(Applied::All),
            [change @ Change { write: Write::Put(item), .. }] => self.put(change, item).await?,
            changes => self.transact(changes).await?,
        };
        if !self.is_applied(plan, written).await? {
            return Ok(Applied::Conflict);
        }
        self.add(plan).await;
        Ok(Applied::All)
    }

    async fn recount(&self, counts: &[(String, u64)]) -> Result<(), AwsError> {
        let mut item: Item = counts.iter().map(|(name, count)| (name.clone(), (*count).into())).collect();
        item.insert("pk".to_owned(), LIVE_PK.into());
        item.insert("schema".to_owned(), SCHEMA.into());
        self.replace(&item).await
    }

    async fn learn(&self, learned: &Learned) -> Result<(), AwsError> {
        self.replace(&learned.to_item()).await
    }

    async fn due(&self, partition: &str, until: Timestamp, limit: usize) -> Result<Vec<DueRow>, AwsError> {
        let mut rows = Vec::new();
        let mut from = None;
        // DynamoDB refuses a limit of 0.
        while rows.len() < limit {
            let call = self
                .client
                .query()
                .table_name(&self.table)
                .index_name("due")
                .key_condition_expression("#open = :partition AND next_check_at <= :until")
                .expression_attribute_names("#open", "open")
                .expression_attribute_values(":partition", text(partition))
                .expression_attribute_values(":until", AttributeValue::N(until.0.to_string()))
                // A page is DynamoDB's megabyte, or what is still wanted.
                .limit(i32::try_from(limit - rows.len()).unwrap_or(i32::MAX))
                .set_exclusive_start_key(from);
            let answer = call.send().await.map_err(|error| failure(Service::Ledger, "Query", error))?;
            rows.extend(answer.items.unwrap_or_default().iter().filter_map(due_row));
            from = answer.last_evaluated_key;
            if from.is_none() {
                break;
            }
        }
        rows.truncate(limit);
        Ok(rows)
    }
}

fn due_row(keys: &HashMap<String, AttributeValue>) -> Option<DueRow> {
    let at = keys.get("next_check_at")?.as_n().ok()?.parse().ok()?;
    Some(DueRow { at: Timestamp(at), pk: keys.get("pk")?.as_s().ok()?.clone() })
}

/// A write's condition as DynamoDB takes it.
struct Condition {
    expression: &'static str,
    values: Option<HashMap<String, AttributeValue>>,
}

impl Condition {
    fn of(expect: Expect) -> Self {
        match expect {
            Expect::Absent => Self { expression: "attribute_not_exists(pk)", values: None },
            // A row of a release that kept no revision of its kind.
            Expect::Rev(0) => Self { expression: "attribute_exists(pk) AND attribute_not_exists(rev)", values: None },
            Expect::Rev(rev) => {
                let values = HashMap::from([(":rev".to_owned(), AttributeValue::N(rev.to_string()))]);
                Self { expression: "rev = :rev", values: Some(values) }
            }
        }
    }
}

/// A row as it stands, and who wrote it: `None` for one of a release that did not say so.
struct Stored {
    item: Item,
    writer: Option<String>,
}

impl Stored {
    fn new(attributes: &HashMap<String, AttributeValue>) -> Self {
        let mut item = to_item(attributes);
        let writer = item.remove(WRITER).and_then(|writer| writer.as_str().map(str::to_owned));
        Self { item, writer }
    }
}

/// What came of a plan's writes.
enum Written {
    /// All of them were made.
    All,
    /// None: a row is not as it was read. If it is the first of those that were to be written, what stands there.
    Refused(Option<Stored>),
    /// None: another transaction keeps a row busy, which is as good as changed by it.
    Busy,
}

/// The first change that writes a row, and its place.
fn first_put(changes: &[Change]) -> Option<(usize, &Change)> {
    changes.iter().enumerate().find(|(_, change)| matches!(change.write, Write::Put(_)))
}

/// What the cancelled transaction says of the first row that it was to write.
fn refused(changes: &[Change], reasons: &[CancellationReason]) -> Written {
    match first_put(changes).and_then(|(at, _)| reasons.get(at)) {
        Some(reason) if reason.code() == Some(COLLISION) => Written::Busy,
        reason => Written::Refused(reason.and_then(|reason| reason.item()).map(Stored::new)),
    }
}

/// Why a transaction was cancelled, by the weightiest of its reasons.
enum Cancelled {
    Condition,
    Collision,
    Throttled,
    Otherwise,
}

fn cancelled(reasons: &[CancellationReason]) -> Cancelled {
    let has = |code: &str| reasons.iter().any(|reason| reason.code() == Some(code));
    if has("ConditionalCheckFailed") {
        Cancelled::Condition
    } else if has(COLLISION) {
        Cancelled::Collision
    } else if has("ProvisionedThroughputExceeded") || has("ThrottlingError") {
        Cancelled::Throttled
    } else {
        Cancelled::Otherwise
    }
}

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

fn key(pk: &str) -> HashMap<String, AttributeValue> {
    HashMap::from([("pk".to_owned(), text(pk))])
}

fn unusable(operation: &'static str, error: impl std::error::Error + Send + Sync + 'static) -> AwsError {
    AwsError::Refused { service: Service::Ledger, operation, source: Box::new(error) }
}
