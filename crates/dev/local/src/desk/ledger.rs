//! What ingest and the router write before an executor starts.

use runnerless_aws::ports::Ledger as _;
use runnerless_aws::{Credentials, DynamoLedger, Place};
use runnerless_core::change::RowKey;
use runnerless_core::event::{JobHint, LaunchEvent, Nonce, VERSION};
use runnerless_core::id::{JobKey, LaunchId};
use runnerless_core::job::{JobEvent, JobFacts};
use runnerless_core::lane::{Engine, Lane, TagSet};
use runnerless_core::limits;
use runnerless_core::moves::{Start, charge, record};
use runnerless_core::status::JobStatus;
use runnerless_core::time::Timestamp;
use serde_json::{Value, json};

use super::DeskError;
use crate::aws::{ACCOUNT, DYNAMODB, REGION, SECRET, SSM};
use crate::stack::Stack;

/// Where the secrets are.
pub(super) const PATH: &str = "/runnerless";
const TABLE: &str = "ledger";
/// The simulator's project of single jobs.
const PROJECT: u64 = 380;

/// A launch that an executor may begin.
#[derive(Clone, Debug)]
pub(super) struct Launch {
    pub(super) id: String,
    pub(super) event: Value,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Ledger {
    table: DynamoLedger,
    lane: Lane,
}

impl Ledger {
    /// Makes the table of the template and stores the lane's token.
    pub(super) async fn make(stack: &Stack, token: &str) -> Result<Self, DeskError> {
        let lane =
            Lane { tags: TagSet::default(), engine: Engine::Lambda, target: "arn:executor".into(), run_untagged: true };
        let aws = stack.aws();
        aws.call(DYNAMODB, "CreateTable", &table()).await?;
        let name = format!("{PATH}/runner/LAMBDA/{}/RegistrationToken", lane.id());
        let parameter = json!({"Name": name, "Value": token, "Type": "SecureString", "Overwrite": true});
        aws.call(SSM, "PutParameter", &parameter).await?;
        let place = Place::new(REGION, Some(stack.emulator().to_owned()));
        let credentials = Credentials { key_id: ACCOUNT.to_owned(), secret: SECRET.to_owned().into(), session: None };
        Ok(Self { table: DynamoLedger::new(&place, &credentials, TABLE.to_owned()), lane })
    }

    pub(super) fn table(&self) -> &'static str {
        TABLE
    }

    /// Records the job as pending and charges it to a launch.
    pub(super) async fn charge(&self, job: u64, gitlab_url: &str) -> Result<Launch, DeskError> {
        let (key, now) = (JobKey { project: PROJECT, job }, now());
        let facts = JobFacts::default();
        let event = JobEvent { key, status: JobStatus::parse("pending"), facts, created_at: Some(now), runner: None };
        self.table.apply(&record(None, &event, now).plan).await?;
        let refused = |why: String| DeskError::Charge(why);
        let rows = self.table.load(&[RowKey::Job(key)]).await?;
        let row = rows.job(key).map_err(|error| refused(error.to_string()))?;
        let row = row.ok_or_else(|| refused("the job's row is not there".to_owned()))?;
        let (launch, nonce) = (LaunchId::new(format!("l-{job}")), Nonce::new(format!("nonce-of-{job}")));
        let event = self.event(&launch, &nonce, key, gitlab_url, now);
        let start = Start {
            launch: launch.clone(),
            nonce_sha256: nonce.sha256(),
            system_id: format!("r_{}", &self.lane.id().as_str()[..12]),
            request: event.to_string(),
            isolated: false,
            by_default: true,
            longest: None,
        };
        let plan =
            charge(&row, &self.lane, start, "for the desk", now).map_err(|error| refused(format!("{error:?}")))?;
        self.table.apply(&plan).await?;
        Ok(Launch { id: launch.as_str().to_owned(), event })
    }

    fn event(&self, launch: &LaunchId, nonce: &Nonce, key: JobKey, gitlab_url: &str, now: Timestamp) -> Value {
        let event = LaunchEvent {
            v: VERSION,
            launch: launch.clone(),
            nonce: nonce.clone(),
            lane: self.lane.id(),
            gitlab_url: gitlab_url.to_owned(),
            claim_function: String::new(),
            deadline_ms: now + limits::LAMBDA_DEADLINE,
            // The job is there; a single ask is enough.
            wait_s: 0,
            job_hint: Some(JobHint {
                project_id: key.project,
                job_id: key.job,
                name: String::new(),
                git_ref: String::new(),
                stage: String::new(),
            }),
        };
        serde_json::to_value(&event).unwrap_or_default()
    }

    /// The launch's row: its state, the job that it has, whether that was accepted and why it ended.
    pub(super) async fn launch(&self, launch: &str) -> Result<Value, DeskError> {
        let id = LaunchId::new(launch);
        let rows = self.table.load(&[RowKey::Launch(id.clone())]).await?;
        let row = rows.launch(&id).map_err(|error| DeskError::Charge(error.to_string()))?;
        Ok(row.map_or(Value::Null, |row| {
            json!({
                "state": row.state,
                "bound_job": row.bound_job.map(|job| job.to_string()),
                "accepted": row.accepted,
                "end_reason": row.end_reason,
            })
        }))
    }
}

/// As `template.yaml` has it.
fn table() -> Value {
    json!({
        "TableName": TABLE,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [
            {"AttributeName": "pk", "AttributeType": "S"},
            {"AttributeName": "open", "AttributeType": "S"},
            {"AttributeName": "next_check_at", "AttributeType": "N"},
        ],
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
        "GlobalSecondaryIndexes": [{
            "IndexName": "due",
            "KeySchema": [
                {"AttributeName": "open", "KeyType": "HASH"},
                {"AttributeName": "next_check_at", "KeyType": "RANGE"},
            ],
            "Projection": {"ProjectionType": "KEYS_ONLY"},
        }],
    })
}

fn now() -> Timestamp {
    Timestamp(jiff::Timestamp::now().as_millisecond())
}
