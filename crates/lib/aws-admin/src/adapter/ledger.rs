//! The ledger in DynamoDB, read only.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use runnerless_aws::attributes::to_item;
use runnerless_aws::{Credentials, Place};
use runnerless_core::change::Item;

use super::failure::Operation;
use crate::ports::{LedgerReader, RemoteError};

const GET: Operation = Operation::new("GetItem", "dynamodb:GetItem");

/// The ledger's table.
#[derive(Clone, Debug)]
pub struct LedgerTable {
    client: Client,
    table: String,
}

impl LedgerTable {
    /// For this table.
    #[must_use]
    pub fn new(place: &Place, credentials: &Credentials, table: impl Into<String>) -> Self {
        Self { client: runnerless_aws::client!(aws_sdk_dynamodb, place, credentials), table: table.into() }
    }
}

impl LedgerReader for LedgerTable {
    async fn row(&self, pk: &str) -> Result<Option<Item>, RemoteError> {
        let key = AttributeValue::S(pk.to_owned());
        let call = self.client.get_item().table_name(&self.table).key("pk", key).consistent_read(true);
        let answer = call.send().await.map_err(|error| GET.on_table(&self.table, error))?;
        Ok(answer.item.as_ref().map(to_item))
    }
}
