//! The mapping table in DynamoDB, as routing reads it.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use runnerless_core::change::Item;
use runnerless_core::route::{BadMapRow, LANES_PK, LaneEntry, MapRow};

use super::failure::failure;
use crate::attributes::to_item;
use crate::error::{AwsError, Service};
use crate::place::{Credentials, Place};
use crate::ports::Mapping;

/// The mapping's table.
#[derive(Clone, Debug)]
pub struct DynamoMapping {
    client: Client,
    table: String,
}

impl DynamoMapping {
    /// For this table.
    #[must_use]
    pub fn new(place: &Place, credentials: &Credentials, table: impl Into<String>) -> Self {
        Self { client: crate::client!(aws_sdk_dynamodb, place, credentials), table: table.into() }
    }

    async fn partition(&self, pk: &str) -> Result<Vec<Item>, AwsError> {
        let mut items = Vec::new();
        let mut from = None;
        loop {
            let call = self
                .client
                .query()
                .table_name(&self.table)
                .key_condition_expression("pk = :pk")
                .expression_attribute_values(":pk", AttributeValue::S(pk.to_owned()))
                .set_exclusive_start_key(from);
            let answer = call.send().await.map_err(|error| failure(Service::Mapping, "Query", error))?;
            items.extend(answer.items.unwrap_or_default().iter().map(to_item));
            from = answer.last_evaluated_key;
            if from.is_none() {
                return Ok(items);
            }
        }
    }
}

impl Mapping for DynamoMapping {
    async fn rows(&self, partition: &str) -> Result<Vec<Result<MapRow, BadMapRow>>, AwsError> {
        Ok(self.partition(partition).await?.iter().map(MapRow::from_item).collect())
    }

    async fn lanes(&self) -> Result<Vec<Result<LaneEntry, BadMapRow>>, AwsError> {
        Ok(self.partition(LANES_PK).await?.iter().map(LaneEntry::from_item).collect())
    }
}
