//! The ledger's table, and the rows that fill it.

use std::time::{Duration, SystemTime};

use runnerless_core::change::{Item, Plan, Write};
use runnerless_core::id::{JobKey, LaunchId};
use runnerless_core::job::{JobEvent, JobFacts};
use runnerless_core::lane::{Engine, Lane, TagSet};
use runnerless_core::moves::{Introduction, Start, begin, bind, charge, record, renew, verified};
use runnerless_core::status::JobStatus;
use runnerless_core::time::{Millis, Timestamp};
use runnerless_local::aws::{Aws, DYNAMODB};
use runnerless_local::http::HttpError;
use runnerless_local::stack::Stack;
use serde_json::{Value, json};
use tokio::task::JoinSet;

/// The tables' names.
pub(super) const LEDGER: &str = "sweep-ledger";
pub(super) const MAPPING: &str = "sweep-mapping";
/// DynamoDB writes at most this many items in one batch.
const BATCH: usize = 25;
/// Batches that are written at once.
const AT_ONCE: usize = 8;
/// Launches with running jobs, beside the rows that are asked for.
pub(super) const LIVE: u32 = 100;
/// The project of the rows that are due much later, of the due jobs, and of the running ones.
const LATER: u64 = 1;
const DUE: u64 = 2;
const RUNNING: u64 = 3;
/// When the rows are due that are due later: longer than any bench runs.
const MUCH_LATER: Millis = Millis::days(1);

/// The table through the bench's own calls, which the witness does not see.
#[derive(Debug)]
pub(super) struct Ledger {
    aws: Aws,
}

impl Ledger {
    /// Makes the tables, as the template does.
    pub(super) async fn make(stack: &Stack) -> Result<Self, HttpError> {
        let ledger = Self { aws: stack.aws() };
        let attribute = |name: &str, kind: &str| json!({"AttributeName": name, "AttributeType": kind});
        let key = |name: &str, kind: &str| json!({"AttributeName": name, "KeyType": kind});
        let create = json!({
            "TableName": LEDGER, "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [attribute("pk", "S"), attribute("open", "S"), attribute("next_check_at", "N")],
            "KeySchema": [key("pk", "HASH")],
            "GlobalSecondaryIndexes": [{
                "IndexName": "due", "Projection": {"ProjectionType": "KEYS_ONLY"},
                "KeySchema": [key("open", "HASH"), key("next_check_at", "RANGE")],
            }],
        });
        ledger.aws.call(DYNAMODB, "CreateTable", &create).await?;
        let create = json!({
            "TableName": MAPPING, "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [attribute("pk", "S"), attribute("sk", "S")],
            "KeySchema": [key("pk", "HASH"), key("sk", "RANGE")],
        });
        ledger.aws.call(DYNAMODB, "CreateTable", &create).await?;
        Ok(ledger)
    }

    /// Rows of jobs that are looked at much later.
    pub(super) async fn fill(&self, rows: u32) -> Result<(), HttpError> {
        let at = now() + MUCH_LATER;
        let later = (0..rows).map(|job| due_job(LATER, job, at + Millis(i64::from(job)))).collect();
        self.write(later).await
    }

    /// The state before a round: so many due jobs, live launches with their jobs, a lane that was verified, and nothing of
    /// the round before.
    pub(super) async fn reset(&self, due: u32, target: &str) -> Result<(), HttpError> {
        let live: Vec<String> = (0..LIVE).map(launch_of).collect();
        let old = self.launches().await?;
        let old = old.into_iter().filter(|pk| !live.contains(pk));
        let mut requests: Vec<Value> = old.map(|pk| json!({"DeleteRequest": {"Key": {"pk": {"S": pk}}}})).collect();
        requests.push(json!({"DeleteRequest": {"Key": {"pk": {"S": "live"}}}}));
        self.send(requests).await?;
        let now = now();
        let mut items: Vec<Item> = (0..due).map(|job| due_job(DUE, job, now - Millis::secs(60))).collect();
        items.extend((0..LIVE).flat_map(|number| running(number, target, now)));
        let lane = lane(target);
        let said = Introduction { lane: &lane.id(), engine: Engine::Lambda, token: "glrt-bench", runner_id: Some(1) };
        items.extend(puts(&verified(None, None, said, None, now)));
        self.write(items).await
    }

    /// How many of the due jobs have a launch now.
    pub(super) async fn charged(&self, due: u32) -> Result<u32, HttpError> {
        let mut charged = 0;
        for job in 0..due {
            let pk = JobKey { project: DUE, job: u64::from(job) }.pk();
            let get = json!({"TableName": LEDGER, "Key": {"pk": {"S": pk}}});
            let answer = self.aws.call(DYNAMODB, "GetItem", &get).await?;
            charged += u32::from(answer["Item"]["state"]["S"] == "charged");
        }
        Ok(charged)
    }

    /// The primary keys of the launches in the index.
    async fn launches(&self) -> Result<Vec<String>, HttpError> {
        let mut found = Vec::new();
        for shard in 0..runnerless_core::change::SHARDS {
            let query = json!({
                "TableName": LEDGER, "IndexName": "due",
                "KeyConditionExpression": "#open = :shard AND next_check_at <= :until",
                "ExpressionAttributeNames": {"#open": "open"},
                "ExpressionAttributeValues": {
                    ":shard": {"S": runnerless_core::change::shard_name(shard)},
                    ":until": {"N": (now() + Millis::minutes(60)).0.to_string()},
                },
            });
            let answer = self.aws.call(DYNAMODB, "Query", &query).await?;
            let pks = answer["Items"].as_array().into_iter().flatten().filter_map(|item| item["pk"]["S"].as_str());
            found.extend(pks.filter(|pk| pk.starts_with("launch#")).map(str::to_owned));
        }
        Ok(found)
    }

    async fn write(&self, items: Vec<Item>) -> Result<(), HttpError> {
        let put = |item: Item| json!({"PutRequest": {"Item": of_item(item)}});
        self.send(items.into_iter().map(put).collect()).await
    }

    async fn send(&self, requests: Vec<Value>) -> Result<(), HttpError> {
        let mut under_way = JoinSet::new();
        for chunk in requests.chunks(BATCH) {
            if under_way.len() == AT_ONCE {
                finished(under_way.join_next().await)?;
            }
            let (aws, input) = (self.aws.clone(), json!({"RequestItems": {LEDGER: chunk}}));
            under_way.spawn(async move { aws.call(DYNAMODB, "BatchWriteItem", &input).await });
        }
        while let Some(done) = under_way.join_next().await {
            finished(Some(done))?;
        }
        Ok(())
    }
}

fn finished(done: Option<Result<Result<Value, HttpError>, tokio::task::JoinError>>) -> Result<(), HttpError> {
    match done {
        Some(Ok(answer)) => answer.map(drop),
        // A task that was not joined was not cancelled, and a call does not panic.
        Some(Err(_)) | None => Ok(()),
    }
}

/// Now, as the ledger writes it.
pub(super) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// The lane of the default route.
fn lane(target: &str) -> Lane {
    Lane { tags: TagSet::default(), engine: Engine::Lambda, target: target.to_owned(), run_untagged: true }
}

/// A job whose webhook was stored, due at `at`.
fn due_job(project: u64, job: u32, at: Timestamp) -> Item {
    let facts = JobFacts {
        name: format!("unit {job}"),
        stage: "test".to_owned(),
        git_ref: "main".to_owned(),
        project_path: "acme/widgets".to_owned(),
        retries: 0,
    };
    let key = JobKey { project, job: u64::from(job) };
    let event = JobEvent { key, status: JobStatus::Pending, facts, created_at: Some(now()), runner: None };
    let mut item = puts(&record(None, &event, now()).plan).remove(0);
    item.insert("next_check_at".to_owned(), at.0.into());
    item
}

/// The primary key of a live launch.
fn launch_of(number: u32) -> String {
    LaunchId::new(format!("l-live-{number}")).pk()
}

/// A launch with its running job, made by the moves themselves.
fn running(number: u32, target: &str, now: Timestamp) -> Vec<Item> {
    let made = || {
        let key = JobKey { project: RUNNING, job: u64::from(number) };
        let facts = JobFacts { name: "long".to_owned(), ..JobFacts::default() };
        let event = JobEvent { key, status: JobStatus::Pending, facts, created_at: Some(now), runner: None };
        let job = row(&record(None, &event, now).plan, 0)?;
        let start = Start {
            launch: LaunchId::new(format!("l-live-{number}")),
            nonce_sha256: "hash".to_owned(),
            system_id: "r_bench".to_owned(),
            request: "{}".to_owned(),
            isolated: false,
            by_default: true,
            longest: None,
        };
        let charged = charge(&job, &lane(target), start, "bench", now).ok()?;
        let (job, launch) = (row(&charged, 0)?, row(&charged, 1)?);
        let launch = row(&begin(&launch, "hash", "claim", now).ok()?, 0)?;
        let rows =
            runnerless_core::moves::BindRows { launch: &launch, got: Some(&job), gots_charge: None, charged: None };
        let bound = bind(rows, key, now).ok()?;
        let job = puts(&bound).remove(1);
        let launch = puts(&renew(&row(&bound, 0)?, now).ok()?).remove(0);
        Some(vec![job, launch])
    };
    made().unwrap_or_default()
}

fn row<R: runnerless_core::change::Row>(plan: &Plan, at: usize) -> Option<R> {
    runnerless_core::change::decode(puts(plan).get(at)?).ok()
}

/// The items that a plan writes.
fn puts(plan: &Plan) -> Vec<Item> {
    let item = |write: &Write| match write {
        Write::Put(item) => Some(item.clone()),
        Write::Check => None,
    };
    plan.changes.iter().filter_map(|change| item(&change.write)).collect()
}

/// DynamoDB's JSON of an item.
fn of_item(item: Item) -> Value {
    item.into_iter().map(|(name, value)| (name, of_value(value))).collect::<Item>().into()
}

fn of_value(value: Value) -> Value {
    match value {
        Value::Null => json!({"NULL": true}),
        Value::Bool(flag) => json!({"BOOL": flag}),
        Value::Number(number) => json!({"N": number.to_string()}),
        Value::String(text) => json!({"S": text}),
        Value::Array(list) => json!({"L": list.into_iter().map(of_value).collect::<Vec<_>>()}),
        Value::Object(map) => json!({"M": of_item(map)}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use runnerless_core::change::decode;
    use runnerless_core::job::JobRow;
    use runnerless_core::launch::{LaunchRow, LaunchState};

    #[test]
    fn the_rows_are_what_the_moves_write() {
        let item = due_job(DUE, 7, Timestamp(5));
        let job: JobRow = decode(&item).unwrap();
        assert_eq!((job.key().pk().as_str(), job.due.next_check_at), ("job#2#7", Some(Timestamp(5))));
        let [job, launch] = &running(3, "arn", now())[..] else { panic!("two rows") };
        let (job, launch): (JobRow, LaunchRow) = (decode(job).unwrap(), decode(launch).unwrap());
        assert_eq!((launch.state, launch.bound_job, launch.accepted), (LaunchState::Bound, Some(job.key()), true));
        assert_eq!(launch.launch.pk(), launch_of(3));
        assert_eq!(
            of_value(json!({"a": [1, "x", true]})),
            json!({"M": {"a": {"L": [{"N": "1"}, {"S": "x"}, {"BOOL": true}]}}})
        );
    }
}
