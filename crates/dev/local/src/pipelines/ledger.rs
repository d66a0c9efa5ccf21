//! What the ledger says about the jobs of a pipeline.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::aws::{Aws, DYNAMODB, plain};
use crate::http::HttpError;

/// A launch that found no job asks for 20 s and is closed then; a sweep comes once a minute for what did not end well.
const CLOSED_WITHIN: Duration = Duration::from_secs(90);
/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(250);

/// The ledger's table.
#[derive(Debug)]
pub(crate) struct Ledger<'a> {
    /// The client.
    pub(crate) aws: Aws,
    /// The table.
    pub(crate) table: &'a str,
}

/// The rows of one job.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rows {
    /// The job's; null when there is none.
    pub(crate) job: Value,
    /// Of the launch that ran it, or that is charged to it; null when there is none.
    pub(crate) launch: Value,
}

impl Ledger<'_> {
    /// The rows of a job.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub(crate) async fn rows(&self, project: u64, job: u64) -> Result<Rows, HttpError> {
        let job = self.get(&format!("job#{project}#{job}")).await?;
        let launch = match job["launch"].as_str().or_else(|| job["charge"].as_str()) {
            Some(launch) => self.get(&format!("launch#{launch}")).await?,
            None => Value::Null,
        };
        Ok(Rows { job, launch })
    }

    /// Waits until every launch is closed: nothing outlives its job. Returns those that are not.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub(crate) async fn open_launches(&self) -> Result<Vec<String>, HttpError> {
        let begun = Instant::now();
        loop {
            let open = self.scan_open().await?;
            if open.is_empty() || begun.elapsed() > CLOSED_WITHIN {
                return Ok(open);
            }
            sleep(PAUSE).await;
        }
    }

    async fn get(&self, pk: &str) -> Result<Value, HttpError> {
        let input = json!({"TableName": self.table, "Key": {"pk": {"S": pk}}, "ConsistentRead": true});
        let answer = self.aws.call(DYNAMODB, "GetItem", &input).await?;
        Ok(plain(&answer["Item"]))
    }

    async fn scan_open(&self) -> Result<Vec<String>, HttpError> {
        let open = self.launches().await?.into_iter().filter(|launch| launch["state"] != "closed");
        let said = |launch: Value| {
            let (pk, state) = (launch["pk"].as_str().unwrap_or_default(), launch["state"].as_str());
            format!("{pk} is {}", state.unwrap_or("without a state"))
        };
        Ok(open.map(said).collect())
    }

    /// All rows of launches. The driver may scan: it is no part of the stack, and the table holds one run.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub(crate) async fn launches(&self) -> Result<Vec<Value>, HttpError> {
        let mut launches = Vec::new();
        let mut from = Value::Null;
        loop {
            let mut input = json!({"TableName": self.table, "ConsistentRead": true});
            if !from.is_null() {
                input["ExclusiveStartKey"] = from;
            }
            let page = self.aws.call(DYNAMODB, "Scan", &input).await?;
            let items = page["Items"].as_array().into_iter().flatten().map(plain);
            launches.extend(items.filter(|item| item["pk"].as_str().is_some_and(|pk| pk.starts_with("launch#"))));
            from = page["LastEvaluatedKey"].clone();
            if from.is_null() {
                return Ok(launches);
            }
        }
    }
}
