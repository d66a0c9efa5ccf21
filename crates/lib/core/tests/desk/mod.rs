//! A ledger in memory for whole lives: each move loads its rows, decides, and is applied on its conditions or not at all.

#![allow(dead_code, reason = "each test file uses what it needs of this module")]

use std::collections::BTreeMap;

use runnerless_core::change::{Expect, Item, Plan, Write, decode};
use runnerless_core::id::{JobKey, LaunchId};
use runnerless_core::job::{JobEvent, JobFacts, JobRow};
use runnerless_core::lane::{Engine, Lane, TagSet};
use runnerless_core::launch::LaunchRow;
use runnerless_core::moves::{
    Announce, BeginRefused, BindRefused, BindRows, End, GiveBackRows, NotCharged, Settlement, Start, begin, bind,
    charge, conclude, give_back, record, settle, started,
};
use runnerless_core::status::JobStatus;
use runnerless_core::time::{Millis, Timestamp};

/// When the tests begin.
pub(crate) const T0: Timestamp = Timestamp(1_789_373_730_000);

pub(crate) fn secs(n: i64) -> Timestamp {
    T0 + Millis::secs(n)
}

pub(crate) fn key(job: u64) -> JobKey {
    JobKey { project: 380, job }
}

/// A row's name for a launch.
pub(crate) fn id(launch: &str) -> Option<LaunchId> {
    Some(LaunchId::new(launch))
}

fn event(job: u64, status: &str) -> JobEvent {
    let facts = JobFacts { name: "unit".into(), project_path: "acme/widget".into(), ..JobFacts::default() };
    JobEvent { key: key(job), status: JobStatus::parse(status), facts, created_at: Some(T0), runner: None }
}

fn lane() -> Lane {
    Lane { tags: TagSet::default(), engine: Engine::Lambda, target: "arn:executor".into(), run_untagged: true }
}

/// The ledger.
#[derive(Clone, Default, PartialEq)]
pub(crate) struct Desk(BTreeMap<String, Item>);

impl Desk {
    /// The row of a job, if there is one.
    pub(crate) fn row(&self, job: u64) -> Option<JobRow> {
        self.0.get(&key(job).pk()).map(|item| decode(item).unwrap())
    }

    pub(crate) fn job(&self, job: u64) -> JobRow {
        self.row(job).expect("the job has a row")
    }

    pub(crate) fn launch(&self, id: &str) -> LaunchRow {
        decode(&self.0[&LaunchId::new(id).pk()]).unwrap()
    }

    /// Applies a plan that was decided on the rows as they are.
    pub(crate) fn apply(&mut self, plan: &Plan) {
        for change in &plan.changes {
            let rev = self.0.get(&change.pk).map(|item| item["rev"].as_u64().unwrap());
            match change.expect {
                Expect::Absent => assert_eq!(rev, None, "{}", change.pk),
                Expect::Rev(expected) => assert_eq!(rev, Some(expected), "{}", change.pk),
            }
        }
        for change in &plan.changes {
            if let Write::Put(item) = &change.write {
                self.0.insert(change.pk.clone(), item.clone());
            }
        }
    }

    /// A hook, as ingest stores it.
    pub(crate) fn hook(&mut self, job: u64, status: &str, now: Timestamp) -> Option<Announce> {
        let recorded = record(self.row(job).as_ref(), &event(job, status), now);
        self.apply(&recorded.plan);
        recorded.announce
    }

    /// A launch that was charged and whose start AWS took.
    pub(crate) fn launched(&mut self, job: u64, id: &str, now: Timestamp) -> Result<(), NotCharged> {
        self.charged(job, id, now)?;
        let plan = started(&self.launch(id), now).expect("it is new");
        self.apply(&plan);
        Ok(())
    }

    /// A launch whose charging function died before AWS heard of it.
    pub(crate) fn charged(&mut self, job: u64, id: &str, now: Timestamp) -> Result<(), NotCharged> {
        let start = Start {
            launch: LaunchId::new(id),
            nonce_sha256: "hash".into(),
            system_id: "r_test".into(),
            request: r#"{"nonce":"n"}"#.into(),
            isolated: false,
            by_default: false,
            longest: None,
        };
        let plan = charge(&self.job(job), &lane(), start, "test", now)?;
        self.apply(&plan);
        Ok(())
    }

    pub(crate) fn begin(&mut self, id: &str, now: Timestamp) -> Result<(), BeginRefused> {
        let plan = begin(&self.launch(id), "hash", id, now)?;
        self.apply(&plan);
        Ok(())
    }

    /// The job that a launch is charged to, if that is another one.
    fn other(&self, launch: &LaunchRow, job: u64) -> Option<JobRow> {
        launch.charged_to.filter(|charged| *charged != key(job)).and_then(|charged| self.row(charged.job))
    }

    pub(crate) fn bind(&mut self, id: &str, job: u64, now: Timestamp) -> Result<(), BindRefused> {
        let launch = self.launch(id);
        let got = self.row(job);
        let spare = got.as_ref().and_then(|row| row.charge.as_ref()).map(|charge| self.launch(charge.as_str()));
        let charged = self.other(&launch, job);
        let rows =
            BindRows { launch: &launch, got: got.as_ref(), gots_charge: spare.as_ref(), charged: charged.as_ref() };
        let plan = bind(rows, key(job), now)?;
        self.apply(&plan);
        Ok(())
    }

    pub(crate) fn give_back(&mut self, id: &str, job: u64, now: Timestamp) {
        let launch = self.launch(id);
        let got = self.row(job);
        let charged = self.other(&launch, job);
        let rows = GiveBackRows { launch: &launch, got: got.as_ref(), charged: charged.as_ref() };
        self.apply(&give_back(rows, "it was refused", now));
    }

    /// Whether the launch was open until now.
    pub(crate) fn conclude(&mut self, id: &str, end: &End, now: Timestamp) -> bool {
        let launch = self.launch(id);
        let job = launch.bound_job.or(launch.charged_to).and_then(|job| self.row(job.job));
        let plan = conclude(&launch, job.as_ref(), end, now);
        plan.as_ref().inspect(|plan| self.apply(plan));
        plan.is_some()
    }

    pub(crate) fn fruitless(&mut self, id: &str, now: Timestamp) -> bool {
        self.conclude(id, &End::Fruitless("no job came".into()), now)
    }

    /// The end of a job's row.
    pub(crate) fn settle(&mut self, job: u64, now: Timestamp) {
        let row = self.job(job);
        let launch = row.launch.as_ref().map(|id| self.launch(id.as_str()));
        match settle(&row, launch.as_ref(), now) {
            Settlement::Retire(plan) | Settlement::EndsItself(plan) => self.apply(&plan),
            Settlement::Nothing(_) | Settlement::Stop { .. } => {}
        }
    }
}
