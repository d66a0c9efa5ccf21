//! What is there after the storm: the jobs' lines, what became of the hooks, why jobs waited, what it all cost, and what
//! of it must not be.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::ground::{Ground, Made};
use super::waits::{self, Cause, Server, Wait};
use crate::aws::LOGS;
use crate::bill::Bill;
use crate::pipelines::jobs;
use crate::pipelines::lines::JobLine;
use crate::suite::SuiteError;

/// The most launches that may be charged to one job: a lost hook costs none, a launch that another job took costs one.
const ATTEMPTS: u64 = 6;
/// The most launches for a hundred jobs, sentinels apart.
const LAUNCHES: usize = 200;
/// How many sweeps are killed.
const KILLS: usize = 2;

/// What was seen.
#[derive(Debug, Default)]
pub struct Seen {
    /// The line of the storm.
    pub line: Value,
    /// The jobs.
    pub jobs: Vec<JobLine>,
    /// What must not be, in words.
    pub failures: Vec<String>,
}

impl Seen {
    pub(super) fn unless(&mut self, holds: bool, why: impl FnOnce() -> String) {
        if !holds {
            self.failures.push(why());
        }
    }
}

/// A storm that is over.
#[derive(Debug)]
pub(super) struct After<'a> {
    pub(super) ground: &'a Ground<'a>,
    pub(super) made: &'a [Made],
    /// When it began (ms).
    pub(super) since: i64,
    pub(super) sweeps: usize,
    pub(super) killed: usize,
}

impl After<'_> {
    /// Looks at everything.
    pub(super) async fn look(&self) -> Result<Seen, SuiteError> {
        let mut seen = Seen { line: json!({}), ..Seen::default() };
        let deliveries = self.ground.deliveries().await?;
        self.hooks(&deliveries, &mut seen);
        let waits = self.jobs(&deliveries, &mut seen).await?;
        seen.line["jobs"] = json!(seen.jobs.len());
        seen.line["waits"] = waits::view(&waits);
        self.launches(&mut seen).await?;
        self.bill(&mut seen).await?;
        seen.line["sweeps"] = json!({"started": self.sweeps, "killed": self.killed});
        seen.unless(self.killed == KILLS, || format!("{} sweeps were killed, and {KILLS} were to be", self.killed));
        let violations = self.ground.simulator.violations().await?;
        seen.failures.extend(violations.into_iter().map(|said| format!("against GitLab's contract: {said}")));
        Ok(seen)
    }

    /// What became of the hooks. A storm in which nothing was disturbed shows nothing.
    fn hooks(&self, deliveries: &[Value], seen: &mut Seen) {
        let count = |is: &dyn Fn(&Value) -> bool| deliveries.iter().filter(|delivery| is(delivery)).count();
        let overtaken = |delivery: &Value| delivery["late"] == true && is_overtaken(delivery, deliveries);
        let hooks = json!({
            "made": count(&|delivery| delivery["attempt"] == 1),
            "lost": count(&|delivery| delivery["state"] == "lost"),
            "doubled": count(&|delivery| delivery["attempt"] == 2),
            "late": count(&|delivery| delivery["late"] == true),
            "overtaken": count(&overtaken),
            "failed": count(&|delivery| delivery["state"] == "failed"),
        });
        let disturbances =
            if self.ground.loses { &["lost", "doubled", "overtaken"][..] } else { &["doubled", "overtaken"] };
        for what in disturbances {
            seen.unless(hooks[what].as_u64() > Some(0), || format!("no hook was {what}: the storm shows nothing"));
        }
        seen.unless(hooks["failed"] == 0, || format!("{} hooks were refused or not answered", hooks["failed"]));
        seen.line["hooks"] = hooks;
    }

    /// The jobs' lines, and their waits.
    async fn jobs(&self, deliveries: &[Value], seen: &mut Seen) -> Result<Vec<Wait>, SuiteError> {
        let ledger = self.ground.ledger()?;
        let counted = self.counted().await?;
        let begun = self.begun().await?;
        let folder = self.ground.stack.layout().at("jobs");
        let mut waits = Vec::new();
        for made in self.made {
            let pipeline = self.ground.simulator.pipeline(made.id, 0).await?;
            let lines =
                jobs::collect(&self.ground.simulator, &ledger, made.project, &pipeline, &made.expect, &folder).await?;
            for (line, job) in lines.iter().zip(latest(&pipeline)) {
                let id = job["id"].as_u64().unwrap_or_default();
                let times = begun.get(&id).copied().unwrap_or_default();
                seen.unless(times <= 1, || format!("GitLab saw {} begin {times} times", line.key));
                seen.unless(line.attempt <= ATTEMPTS, || {
                    format!("{} launches were charged to {}", line.attempt, line.key)
                });
                let Some(ms) = line.t.picked_up.zip(job["queued_at"].as_i64()).map(|(got, queued)| got - queued) else {
                    continue;
                };
                let rows = ledger.rows(made.project, id).await?;
                let server = server(&line.key, &rows.launch);
                let cause = cause(deliveries, id, line, server, &counted);
                waits.push(Wait { cause, server, ms });
            }
            seen.jobs.extend(lines);
        }
        Ok(waits)
    }

    /// Which jobs' keys the functions counted under these names.
    async fn counted(&self) -> Result<Counted, SuiteError> {
        let aws = self.ground.stack.aws();
        let mut counted = Counted::default();
        let groups = aws.call(LOGS, "DescribeLogGroups", &json!({})).await?;
        for group in groups["logGroups"].as_array().into_iter().flatten() {
            let found = aws.call(LOGS, "FilterLogEvents", &json!({"logGroupName": group["logGroupName"]})).await?;
            let said = found["events"].as_array().into_iter().flatten().filter_map(|event| event["message"].as_str());
            for line in said.filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
                let Some(key) = line["job.key"].as_str().map(str::to_owned) else { continue };
                if line["BusRefusals"].is_number() {
                    counted.refused.insert(key);
                } else if line["LaunchesHeld"].is_number() {
                    counted.held.insert(key);
                }
            }
        }
        Ok(counted)
    }

    /// How often each job began to run in GitLab's eyes.
    async fn begun(&self) -> Result<BTreeMap<u64, usize>, SuiteError> {
        let lines = self.ground.simulator.text("/_sim/v1/events?since=0&follow=false").await?;
        let mut begun = BTreeMap::new();
        for event in lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
            if let (Some(job), "running") = (event["job"].as_u64(), event["event"].as_str().unwrap_or_default()) {
                *begun.entry(job).or_default() += 1;
            }
        }
        Ok(begun)
    }

    /// How many launches there were, and what for.
    async fn launches(&self, seen: &mut Seen) -> Result<(), SuiteError> {
        let all = self.ground.ledger()?.launches().await?;
        let jobs = seen.jobs.len().max(1);
        let count = |is: &dyn Fn(&Value) -> bool| all.iter().filter(|launch| is(launch)).count();
        let charged = count(&|launch| launch["attempt"].as_u64() > Some(0));
        seen.line["launches"] = json!({
            "charged": charged,
            "sentinels": all.len() - charged,
            "in_vain": count(&|launch| launch["bound_job"].is_null()),
            "per_100_jobs": charged * 100 / jobs,
            "most_for_a_job": seen.jobs.iter().map(|job| job.attempt).max(),
        });
        let most = jobs * LAUNCHES / 100;
        seen.unless(charged <= most, || format!("{charged} launches for {jobs} jobs"));
        Ok(())
    }

    /// What it cost.
    async fn bill(&self, seen: &mut Seen) -> Result<(), SuiteError> {
        let path = self.ground.stack.layout().calls();
        let calls = std::fs::read_to_string(&path).map_err(SuiteError::machine(path.display()))?;
        let requests = self.ground.simulator.text("/_sim/v1/requests").await?;
        let bill = Bill::of(&calls, &requests, &self.ground.deployment, self.since);
        seen.line["calls"] = bill.view(seen.jobs.len(), self.sweeps);
        let faults = self.ground.witness.faults().await?;
        let refused = faults.iter().filter(|fault| fault["do"] == "refuse_entry" && fault["done"] == true).count();
        seen.line["events_refused"] = json!(refused);
        Ok(())
    }
}

/// What the functions counted.
#[derive(Debug, Default)]
struct Counted {
    refused: BTreeSet<String>,
    held: BTreeSet<String>,
}

/// The newest job of each name, in the order of the lines.
fn latest(pipeline: &Value) -> impl Iterator<Item = &Value> {
    pipeline["jobs"].as_array().into_iter().flatten().filter(|job| job["retried"] != true)
}

/// Whether a delivery of the same project that was made later came before it.
fn is_overtaken(delivery: &Value, all: &[Value]) -> bool {
    all.iter().any(|other| {
        other["project"] == delivery["project"]
            && other["id"].as_u64() > delivery["id"].as_u64()
            && other["answered_at"].as_i64().zip(delivery["sent_at"].as_i64()).is_some_and(|(came, left)| came < left)
    })
}

/// Which launch had the job: a launch keeps the job that it was charged to, whatever its runner got.
fn server(key: &str, launch: &Value) -> Server {
    match launch["charged_to"].as_str() {
        Some(charged_to) if charged_to == key => Server::Own,
        Some(_) => Server::Others,
        None => Server::Sentinel,
    }
}

fn cause(deliveries: &[Value], job: u64, line: &JobLine, server: Server, counted: &Counted) -> Cause {
    let pending = deliveries.iter().find(|delivery| delivery["job"] == job && delivery["status"] == "pending");
    let is = |name: &str, value: Value| pending.is_some_and(|delivery| delivery[name] == value);
    if is("state", json!("lost")) {
        Cause::HookLost
    } else if is("late", json!(true)) {
        Cause::HookLate
    } else if counted.refused.contains(&line.key) {
        Cause::EventRefused
    } else if counted.held.contains(&line.key) {
        Cause::Held
    } else if line.attempt > 1 || server != Server::Own {
        Cause::LaunchTaken
    } else {
        Cause::Undisturbed
    }
}
