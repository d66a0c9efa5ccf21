//! `make storm`: many jobs on the local stack, with real processes, while hooks are lost, doubled and late, events are refused
//! and sweeps are killed; all of it drawn from one seed. Every job must end as expected, nothing may run twice and nothing
//! may be left; and the lines say how long jobs waited and why, and what a job cost.
//!
//! The sweep comes as often as the schedule brings it, or more often where it is told so; no other limit of ours is
//! changed, but for the sentinels' interval.

mod after;
mod ground;
mod plan;
mod sweeps;
mod waits;

use std::cell::Cell;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::demo::{said, tell};
use crate::guard::Signals;
use crate::pipelines::leftovers::Before;
use crate::pipelines::lines::{Lines, Summary};
use crate::stack::{Options, Stack};
use crate::suite::SuiteError;
use after::{After, Seen};
use ground::Ground;
use plan::Plan;
use sweeps::Sweeps;

/// How long the pipelines may take where nothing else is said.
pub const LIMIT: Duration = Duration::from_secs(900);

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Storm {
    /// The stack; one of its own, which is started and ended.
    pub stack: Options,
    /// How many jobs.
    pub jobs: usize,
    /// What everything is drawn from.
    pub seed: u64,
    /// Whether the stack has an API token of GitLab, and so lists projects; else it sends sentinels.
    pub api_token: bool,
    /// Whether hooks are lost, too.
    pub lost: bool,
    /// How often the sweep comes.
    pub every: Duration,
    /// How long all pipelines may take.
    pub limit: Duration,
    /// A file for the JSON lines.
    pub out: Option<PathBuf>,
}

/// Runs the storm; true when all that must hold held. The stack is ended in any case.
///
/// # Errors
/// When it cannot be run at all.
pub async fn storm(wish: &Storm, signals: &mut Signals) -> Result<bool, SuiteError> {
    let begun = Instant::now();
    let out = |source| SuiteError::Out { path: wish.out.clone().unwrap_or_default(), source };
    let mut lines = Lines::new(wish.out.as_deref()).map_err(out)?;
    let before = Before::new(&wish.stack.layout);
    let stack = Stack::start(&wish.stack).await?;
    let endpoints = stack.endpoints().clone();
    let mut seen = tokio::select! {
        seen = run(&stack, wish) => seen?,
        () = signals.any() => return Err(SuiteError::Interrupted),
    };
    stack.stop().await;
    for left in before.leftovers(&wish.stack.layout, Some(&endpoints)) {
        lines.leftover(left.what, &left.id);
        seen.failures.push(format!("left behind: {} {}", left.what, left.id));
    }
    let held = tell_all(&mut lines, &mut seen, begun.elapsed());
    lines.failure().map_or(Ok(held), |source| Err(out(source)))
}

/// The storm itself, on a stack that was just started.
///
/// # Errors
/// When it cannot be run at all. What did not hold is in what was seen.
pub async fn run(stack: &Stack, wish: &Storm) -> Result<Seen, SuiteError> {
    let plan = Plan::new(wish.seed, wish.jobs);
    tell(&format!("seed {}: {} jobs in {} pipelines", wish.seed, wish.jobs, plan.pipelines.len()));
    let ground = Ground::prepare(stack, wish, &plan).await?;
    ground.disturb(wish, &plan).await?;
    let since = jiff::Timestamp::now().as_millisecond();
    let sweeps = Sweeps {
        aws: stack.aws(),
        witness: &ground.witness,
        layout: stack.layout(),
        function: &ground::function(&ground.deployment, "ReconcilerFunction")?.name,
        every: wish.every,
        kills: plan.kills,
        started: Cell::new(0),
        killed: Cell::new(0),
    };
    let work = async {
        let (made, over) = ground.pipelines(&plan, wish.limit).await?;
        let open = if over { ground.ledger()?.open_launches().await? } else { Vec::new() };
        // The jobs of a small storm may all be over before the last sweep is killed.
        let until = tokio::time::Instant::now() + wish.limit;
        while over && !sweeps.all_killed() && tokio::time::Instant::now() < until {
            tokio::time::sleep(sweeps::PAUSE).await;
        }
        Ok::<_, SuiteError>((made, over, open))
    };
    let (made, over, open) = tokio::select! {
        done = work => done?,
        failed = sweeps.run() => match failed? {},
    };
    let took = jiff::Timestamp::now().as_millisecond() - since;
    let after =
        After { ground: &ground, made: &made, since, sweeps: sweeps.started.get(), killed: sweeps.killed.get() };
    let mut seen = after.look().await?;
    seen.line["seed"] = json!(wish.seed);
    seen.line["token"] = json!(wish.api_token);
    seen.line["sweep_every_s"] = json!(wish.every.as_secs());
    seen.line["took_ms"] = json!(took);
    seen.unless(over, || format!("the pipelines were not over after {:?}", wish.limit));
    seen.failures.extend(open.into_iter().map(|launch| format!("left behind: {launch}")));
    Ok(seen)
}

/// The lines and the table; true when all held.
fn tell_all(lines: &mut Lines, seen: &mut Seen, took: Duration) -> bool {
    for job in &seen.jobs {
        lines.job(job);
        for why in &job.why {
            tell(&format!("NOT AS EXPECTED: {} ({}): {why}", job.name, job.key));
        }
    }
    let failed = seen.jobs.iter().filter(|job| !job.ok).count();
    let ok = failed == 0 && seen.failures.is_empty() && !seen.jobs.is_empty();
    seen.line["ok"] = json!(ok);
    lines.other("storm", &seen.line);
    tell(&pretty(&seen.line));
    for failure in &seen.failures {
        tell(&format!("FAILED: {failure}"));
    }
    let seconds = (took.as_secs_f64() * 10.0).round() / 10.0;
    let passed = seen.jobs.len() - failed;
    lines.summary(&Summary { target: "storm", passed, failed, skipped: 0, seconds, ok });
    ok
}

/// For people.
fn pretty(line: &Value) -> String {
    serde_json::to_string_pretty(line).unwrap_or_else(|error| said(&error))
}
