//! One run of the scaler over pools of ten, a hundred and a thousand members: the real function, against a stand-in for AWS
//! that is as fast as a server in the same process can be, and members' metrics over HTTP, from one server for all of them.
//!
//! What is left is the function's own time: nothing here says how fast AWS, or a thousand runner managers, answer.

mod documents;
mod exporter;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use runnerless_local::runtime_api::{Function, Invocation, Program, RuntimeApiError};
use serde_json::{Value, json};

use crate::functions::stand_in::{Calls, StandIn};
use crate::functions::{BenchError as Measuring, on_processor, peak};
use crate::lines::Lines;
use crate::statistics::Spread;
use exporter::Exporter;

/// Members of each pool.
const SIZES: [u32; 3] = [10, 100, 1000];
/// Runs of a process after its first.
const NEXT_RUNS: u32 = 4;
/// The function's time limit in the template.
const LIMIT: Duration = Duration::from_secs(50);
/// How long the bench waits for a run: the limit, and a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(75);
/// The most memory that the function may have, in KiB: half of what the template gives it.
const RSS_KIB: u64 = 128 * 1024;
/// Calls to AWS of a run that holds: the group, its hook, the instances, the row read and written.
const CALLS: u64 = 5;
/// The group's name, and its row's.
const GROUP: &str = "builds";
const TABLE: &str = "ledger";

/// What is wanted.
#[derive(Clone, Debug)]
pub struct Wish {
    /// Where the built programs are.
    pub programs: PathBuf,
    /// Processes for each size.
    pub rounds: u32,
}

/// The bench could not be run to its end.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The scaler does not do what the Runtime API asks for.
    #[error(transparent)]
    Function(#[from] RuntimeApiError),
    /// It was not measured.
    #[error(transparent)]
    Measuring(#[from] Measuring),
    /// It answered something else than a report of a pool that holds.
    #[error("the scaler answered {0}")]
    Answer(String),
    /// It made a call that AWS would refuse.
    #[error("the scaler made a call that AWS would refuse: {0}")]
    Refused(String),
    /// The machine does not let the bench do its work.
    #[error("the bench cannot work here")]
    Machine(#[from] io::Error),
}

/// What one process showed, times in milliseconds.
#[derive(Clone, Debug, Default)]
struct Sample {
    first: f64,
    next: Vec<f64>,
    /// Time on a processor for a run after the first, in the mean of the process.
    next_cpu: f64,
    rss_kib: u64,
    /// Calls of all its runs.
    calls: Calls,
}

/// Measures each size, and writes a line for it.
///
/// # Errors
/// Something does not work: its numbers would say nothing.
pub async fn bench(wish: &Wish, lines: &mut Lines, tell: &impl Fn(&str)) -> Result<(), BenchError> {
    let exporter = Exporter::start().await?;
    for members in SIZES {
        let mut samples = Vec::new();
        for round in 0..wish.rounds {
            let sample = measure(wish, members, &exporter).await?;
            tell(&format!("pool: {members} members, round {} of {}: {:.0} ms", round + 1, wish.rounds, sample.first));
            samples.push(sample);
        }
        lines.bench(line(members, &samples));
    }
    Ok(())
}

async fn measure(wish: &Wish, members: u32, exporter: &Exporter) -> Result<Sample, BenchError> {
    let stand_in = StandIn::new(&[TABLE], &[]).await?;
    for (operation, document) in documents::of(GROUP, members) {
        stand_in.say(operation, document);
    }
    let mut function = Function::start(&program(wish, members, &stand_in, exporter), PATIENCE).await?;
    function.ready().await?;
    let mut sample = Sample { first: run(&mut function, members, 0).await?, ..Sample::default() };
    let before = on_processor(function.process())?;
    for number in 1..=NEXT_RUNS {
        sample.next.push(run(&mut function, members, number).await?);
    }
    sample.next_cpu = (on_processor(function.process())? - before) / f64::from(NEXT_RUNS);
    sample.rss_kib = peak(function.process())?;
    function.kill().await?;
    let (calls, refused) = stand_in.take_calls();
    match refused.into_iter().next() {
        Some(refused) => Err(BenchError::Refused(refused)),
        None => Ok(Sample { calls, ..sample }),
    }
}

fn program(wish: &Wish, members: u32, stand_in: &StandIn, exporter: &Exporter) -> Program {
    let number = |number: u32| number.to_string();
    Program::new(wish.programs.join("scaler"))
        .env("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
        .env("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
        .env("AWS_ENDPOINT_URL", stand_in.url())
        .env("RUNNERLESS_GROUP", GROUP)
        .env("RUNNERLESS_LEDGER_TABLE", TABLE)
        .env("RUNNERLESS_PARAMETER_PATH", "/runnerless")
        .env("RUNNERLESS_GITLAB_URL", "https://gitlab.acme.example")
        .env("RUNNERLESS_METRICS_PORT", exporter.port().to_string())
        .env("RUNNERLESS_MEMBERS_MIN", "1")
        .env("RUNNERLESS_MEMBERS_MAX", number(members))
        .env("RUNNERLESS_SLOTS_PER_MEMBER", number(exporter::SLOTS))
        .env("RUNNERLESS_TARGET_UTILISATION", "80")
        .env("RUNNERLESS_HEADROOM_SLOTS", "1")
        .env("RUNNERLESS_GROW_STEP", "100")
        .env("RUNNERLESS_SHRINK_STEP", "5")
        .env("RUNNERLESS_IDLE_RUNS", "3")
        .env("RUNNERLESS_STABILISATION_MINUTES", "10")
        .env("RUNNERLESS_WARM_UP_SECONDS", "300")
        .env("RUNNERLESS_UNHEALTHY_RUNS", "5")
        .env("RUNNERLESS_LONGEST_JOB_MINUTES", "190")
}

/// One run: every member must have told, and nothing be done.
async fn run(function: &mut Function, members: u32, number: u32) -> Result<f64, BenchError> {
    let answer = function.invoke(&Invocation::new(format!("run-{number}"), &json!({}), LIMIT)).await?;
    let report = answer.json().filter(|report| report["seen"]["serving"] == members && report["counts"]["failed"] == 0);
    report.ok_or_else(|| BenchError::Answer(format!("{:?}", answer.outcome)))?;
    Ok(answer.took().as_secs_f64() * 1000.0)
}

fn line(members: u32, samples: &[Sample]) -> Value {
    let runs = u64::from(NEXT_RUNS + 1);
    let each = |value: fn(&Sample) -> f64| Spread::of(&samples.iter().map(value).collect::<Vec<_>>());
    let next = Spread::of(&samples.iter().flat_map(|sample| sample.next.iter().copied()).collect::<Vec<_>>());
    let rss = samples.iter().map(|sample| sample.rss_kib).max().unwrap_or_default();
    let most = samples.iter().map(|sample| sample.calls.values().sum::<u64>()).max().unwrap_or_default();
    let slowest = samples.iter().map(|sample| sample.first).fold(next.max, f64::max);
    let ok = rss <= RSS_KIB && most <= CALLS * runs && slowest <= LIMIT.as_secs_f64() * 1000.0;
    json!({
        "binary": "scaler", "case": format!("pool-{members}"), "members": members, "rounds": samples.len(),
        "first_ms": each(|sample| sample.first), "next_ms": next, "next_cpu_ms": each(|sample| sample.next_cpu),
        "rss_kib": rss, "metrics_bytes": exporter::table().len(), "runs": runs,
        "calls": samples.first().map(|sample| &sample.calls), "calls_a_run_limit": CALLS, "ok": ok,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Sample {
        let calls = Calls::from([("ec2:DescribeInstances".to_owned(), 5)]);
        Sample { first: 90.0, next: vec![40.0; 4], next_cpu: 30.0, rss_kib: 30_000, calls }
    }

    #[test]
    fn each_bar_holds_alone() {
        let holds = |sample: Sample| line(10, &[sample.clone(), sample])["ok"] == true;
        assert!(holds(sample()));
        assert!(!holds(Sample { rss_kib: RSS_KIB + 1, ..sample() }));
        assert!(!holds(Sample { first: 50_001.0, ..sample() }));
        assert!(!holds(Sample { next: vec![50_001.0], ..sample() }));
        assert!(!holds(Sample { calls: Calls::from([("ec2:DescribeInstances".to_owned(), 26)]), ..sample() }));
    }
}
