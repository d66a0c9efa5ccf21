//! One round: a fresh process of the function plans, then acts until nothing is left.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use runnerless_local::aws::{ACCOUNT, REGION, SECRET};
use runnerless_local::deploy::{Foreign, foreign};
use runnerless_local::runtime_api::{Function, Invocation, Program};
use runnerless_local::stack::Stack;
use serde_json::{Value, json};

use super::ledger::{LEDGER, Ledger, MAPPING};
use super::{BenchError, Wish};
use crate::functions::peak;

/// The function's time limit in the template: a run that needs more is cut short.
pub(super) const LIMIT: Duration = Duration::from_secs(55);
/// How long the bench waits for a run: the limit, and a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(75);
/// Runs until the due jobs are done, at most: each does a thousand.
const RUNS: u32 = 8;

/// What one kind of run showed.
#[derive(Clone, Debug, Default)]
pub(super) struct Sample {
    /// The function's time for all its runs.
    pub(super) ms: f64,
    /// The process's peak of memory.
    pub(super) rss_kib: u64,
    /// Calls to AWS by operation, as the witness saw them.
    pub(super) calls: BTreeMap<String, u64>,
    /// Invocations.
    pub(super) runs: u32,
    /// Due jobs that were planned for, or that have a launch afterwards.
    pub(super) done: u32,
}

/// A round's two samples.
#[derive(Clone, Debug, Default)]
pub(super) struct Round {
    pub(super) plan: Sample,
    pub(super) act: Sample,
}

/// Where and how the function runs.
pub(super) struct Host<'a> {
    wish: &'a Wish,
    stack: &'a Stack,
    ledger: &'a Ledger,
    /// What launches invoke: a function that does nothing.
    target: String,
}

impl<'a> Host<'a> {
    pub(super) async fn new(wish: &'a Wish, stack: &'a Stack, ledger: &'a Ledger) -> Result<Self, BenchError> {
        let folder = stack.layout().tmp().join("target");
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("nothing.py"), "def handler(event, context):\n    return None\n")?;
        let function = Foreign {
            name: "sweep-target",
            folder,
            handler: "nothing.handler",
            // A role has at least one; this function needs none.
            statements: json!([{"Effect": "Allow", "Action": "logs:PutLogEvents", "Resource": "*"}]),
            on_failure: &format!("arn:aws:lambda:{REGION}:{ACCOUNT}:function:sweep-target"),
        };
        let target = foreign(stack, &function).await?;
        Ok(Self { wish, stack, ledger, target })
    }

    pub(super) async fn round(&self, number: u32) -> Result<Round, BenchError> {
        self.ledger.reset(self.wish.due, &self.target).await?;
        let mut function = Function::start(&self.program(), PATIENCE).await?;
        function.ready().await?;
        let plan = self.plan(&mut function, number).await?;
        function.kill().await?;
        let mut function = Function::start(&self.program(), PATIENCE).await?;
        function.ready().await?;
        let act = self.act(&mut function, number).await?;
        function.kill().await?;
        Ok(Round { plan, act })
    }

    async fn plan(&self, function: &mut Function, number: u32) -> Result<Sample, BenchError> {
        let from = self.recorded()?;
        let (ms, report) = sweep(function, &json!({"dry_run": true}), &format!("plan-{number}")).await?;
        let done = counted(&report, "route.planned");
        Ok(Sample { ms, rss_kib: memory(function)?, calls: self.calls_since(from)?, runs: 1, done })
    }

    async fn act(&self, function: &mut Function, number: u32) -> Result<Sample, BenchError> {
        let from = self.recorded()?;
        let mut sample = Sample::default();
        while sample.runs < RUNS {
            let (ms, report) = sweep(function, &json!({}), &format!("act-{number}-{}", sample.runs)).await?;
            sample.ms += ms;
            sample.runs += 1;
            if counted(&report, "route.left") == 0 && report["more"] == false {
                break;
            }
        }
        sample.calls = self.calls_since(from)?;
        sample.rss_kib = memory(function)?;
        sample.done = self.ledger.charged(self.wish.due).await?;
        Ok(sample)
    }

    fn program(&self) -> Program {
        // The caps are the template's a hundred and four hundred. Here they let all due jobs be launched for.
        let cap = (self.wish.due + 1_000).to_string();
        Program::new(self.wish.programs.join("reconciler"))
            .env("AWS_ACCESS_KEY_ID", ACCOUNT)
            .env("AWS_SECRET_ACCESS_KEY", SECRET)
            .env("AWS_ENDPOINT_URL", self.stack.endpoint())
            .env("RUNNERLESS_PARAMETER_PATH", "/runnerless")
            .env("RUNNERLESS_LEDGER_TABLE", LEDGER)
            .env("RUNNERLESS_MAPPING_TABLE", MAPPING)
            .env("RUNNERLESS_GITLAB_URL", "https://gitlab.acme.example")
            .env("RUNNERLESS_DEFAULT_ROUTE", "LAMBDA")
            .env("RUNNERLESS_DEFAULT_TAGS", "")
            .env("RUNNERLESS_EXECUTOR_ARN", &self.target)
            .env("RUNNERLESS_CLAIM_FUNCTION", &self.target)
            .env("RUNNERLESS_LANE_CAP", &cap)
            .env("RUNNERLESS_STACK_CAP", &cap)
            .env("RUNNERLESS_TENANT_ISOLATION", "false")
            .env("RUNNERLESS_SENTINEL_MINUTES", "0")
            .env("RUNNERLESS_LISTING_CALLS", "60")
            .env("RUNNERLESS_WEBHOOK_URL", "https://hooks.acme.example/webhook")
    }

    /// How much the witness has written.
    fn recorded(&self) -> Result<usize, BenchError> {
        Ok(self.record()?.len())
    }

    /// What it has written since then, by operation.
    fn calls_since(&self, from: usize) -> Result<BTreeMap<String, u64>, BenchError> {
        let record = self.record()?;
        let mut calls = BTreeMap::new();
        for line in record.get(from..).unwrap_or_default().lines() {
            let line: Value = serde_json::from_str(line).map_err(std::io::Error::from)?;
            *calls.entry(name_of(&line)).or_insert(0) += 1;
        }
        Ok(calls)
    }

    fn record(&self) -> Result<String, BenchError> {
        let path: PathBuf = self.stack.layout().calls();
        if path.exists() { Ok(fs::read_to_string(path)?) } else { Ok(String::new()) }
    }
}

/// `<service>:<operation>`, with the status of what was not answered with success.
fn name_of(line: &Value) -> String {
    let service = line["service"].as_str().unwrap_or("?");
    let op = line["op"].as_str().unwrap_or("?");
    let op = if op.contains(':') { op.to_owned() } else { format!("{service}:{op}") };
    match line["status"].as_u64() {
        Some(200..=299) => op,
        Some(status) => format!("{op} {status}"),
        None => format!("{op} unanswered"),
    }
}

/// One invocation, and the report that it answers.
async fn sweep(function: &mut Function, event: &Value, id: &str) -> Result<(f64, Value), BenchError> {
    let answer = function.invoke(&Invocation::new(id, event, LIMIT)).await?;
    let report = answer.json().filter(|report| report["counts"].is_object());
    let report = report.ok_or_else(|| BenchError::Answer(format!("{:?}", answer.outcome)))?;
    Ok((answer.took().as_secs_f64() * 1000.0, report))
}

fn counted(report: &Value, name: &str) -> u32 {
    report["counts"][name].as_u64().and_then(|count| u32::try_from(count).ok()).unwrap_or(0)
}

fn memory(function: &Function) -> Result<u64, BenchError> {
    peak(function.process()).map_err(|error| BenchError::Machine(std::io::Error::other(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_named_by_service_and_operation_and_failures_by_their_status() {
        let line = |op: &str, status: Value| json!({"service": "dynamodb", "op": op, "status": status});
        assert_eq!(name_of(&line("Query", json!(200))), "dynamodb:Query");
        assert_eq!(name_of(&line("dynamodb:Query", json!(200))), "dynamodb:Query");
        assert_eq!(name_of(&line("PutItem", json!(400))), "dynamodb:PutItem 400");
        assert_eq!(name_of(&line("PutItem", Value::Null)), "dynamodb:PutItem unanswered");
    }
}
