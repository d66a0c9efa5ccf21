//! A router over ports in memory.

#![allow(dead_code, unreachable_pub, reason = "each test file uses what it needs of this module")]

use runnerless_aws::fake::{FakeClock, FakeInvoker, FakeLedger, FakeMapping};
use runnerless_aws::ports::Ledger;
use runnerless_core::change::RowKey;
use runnerless_core::fleet::Market;
use runnerless_core::frozen::Ground;
use runnerless_core::id::JobKey;
use runnerless_core::job::{JobEvent, JobFacts, JobRow, Taker};
use runnerless_core::lane::{Engine, Lane, TagSet};
use runnerless_core::launch::LaunchRow;
use runnerless_core::live::Caps;
use runnerless_core::moves::record;
use runnerless_core::route::DefaultRoute;
use runnerless_core::status::JobStatus;
use runnerless_core::time::{Millis, Timestamp};
use runnerless_gitlab::rest::fake::FakeJobs;
use runnerless_lambda_kit::SystemDice;
use runnerless_router::{Ports, Router, Rules};

pub const T0: Timestamp = Timestamp(1_789_373_730_000);
pub const EXECUTOR: &str = "arn:aws:lambda:eu-west-1:123456789012:function:executor";
pub const OTHER: &str = "arn:aws:lambda:eu-west-1:123456789012:function:other";

pub fn after(seconds: i64) -> Timestamp {
    T0 + Millis::secs(seconds)
}

pub fn key(job: u64) -> JobKey {
    JobKey { project: 41, job }
}

#[derive(Debug)]
pub struct World {
    pub ledger: FakeLedger,
    pub mapping: FakeMapping,
    pub invoker: FakeInvoker,
    pub api: Option<FakeJobs>,
    pub clock: FakeClock,
}

impl Default for World {
    /// With the stack's own executor, and no other function.
    fn default() -> Self {
        let invoker = FakeInvoker::default();
        invoker.deploy(EXECUTOR, true);
        Self {
            ledger: FakeLedger::default(),
            mapping: FakeMapping::default(),
            invoker,
            api: None,
            clock: FakeClock::default(),
        }
    }
}

impl Ports for World {
    type Ledger = FakeLedger;
    type Mapping = FakeMapping;
    type Invoker = FakeInvoker;
    type Jobs = FakeJobs;
    type Clock = FakeClock;
    type Dice = SystemDice;

    fn ledger(&self) -> &FakeLedger {
        &self.ledger
    }
    fn mapping(&self) -> &FakeMapping {
        &self.mapping
    }
    fn invoker(&self) -> &FakeInvoker {
        &self.invoker
    }
    fn jobs(&self) -> Option<&FakeJobs> {
        self.api.as_ref()
    }
    fn clock(&self) -> &FakeClock {
        &self.clock
    }
    fn dice(&self) -> &SystemDice {
        &SystemDice
    }
}

pub fn rules() -> Rules {
    Rules {
        default: DefaultRoute::Lane(Lane {
            tags: TagSet::default(),
            engine: Engine::Lambda,
            target: EXECUTOR.to_owned(),
            run_untagged: true,
        }),
        ground: None,
        caps: Caps { lane: 100, stack: 400 },
        gitlab_url: "https://gitlab.example.com".to_owned(),
        claim_function: "arn:aws:lambda:eu-west-1:123456789012:function:claim".to_owned(),
        executor: (EXECUTOR.to_owned(), true),
    }
}

/// The rules of a stack that launches instances, too.
pub fn rules_with_instances() -> Rules {
    let ground = Ground {
        stack: "runnerless".to_owned(),
        launch_template: "lt-0123456789abcdef0:3".to_owned(),
        subnets: vec!["subnet-a".to_owned(), "subnet-b".to_owned()],
        market: Market::Spot,
        instance_types: vec!["m7i.large".to_owned()],
    };
    Rules { ground: Some(ground), ..rules() }
}

impl World {
    pub fn router<'a>(&'a self, rules: &'a Rules) -> Router<'a, Self> {
        Router { ports: self, rules, service: "test" }
    }

    /// A hook of the job, stored as ingest stores it.
    pub async fn hook(&self, job: u64, name: &str, status: &str, now: Timestamp) {
        let facts = JobFacts { name: name.into(), project_path: "acme/widgets".into(), ..JobFacts::default() };
        let event =
            JobEvent { key: key(job), status: JobStatus::parse(status), facts, created_at: Some(T0), runner: None };
        self.heard(&event, now).await;
    }

    /// A `running` hook that names a runner, which is ours or not.
    pub async fn taken(&self, job: u64, id: u64, ours: bool) {
        let row = self.job(job).await;
        let runner = Some(Taker { id, ours });
        let status = JobStatus::Running;
        self.heard(&JobEvent { key: key(job), status, facts: row.facts, created_at: Some(T0), runner }, T0).await;
    }

    async fn heard(&self, event: &JobEvent, now: Timestamp) {
        let row = self.row(event.key.job).await;
        let recorded = record(row.as_ref(), event, now);
        self.ledger.apply(&recorded.plan).await.unwrap();
        if let Some(learned) = recorded.learn {
            self.ledger.learn(&learned).await.unwrap();
        }
    }

    pub async fn row(&self, job: u64) -> Option<JobRow> {
        self.ledger.load(&[RowKey::Job(key(job))]).await.unwrap().job(key(job)).unwrap()
    }

    pub async fn job(&self, job: u64) -> JobRow {
        self.row(job).await.expect("the job has a row")
    }

    pub async fn launch(&self, job: u64) -> LaunchRow {
        let id = self.job(job).await.charge.expect("the job is charged");
        self.ledger
            .load(&[RowKey::Launch(id.clone())])
            .await
            .unwrap()
            .launch(&id)
            .unwrap()
            .expect("the launch is there")
    }
}
