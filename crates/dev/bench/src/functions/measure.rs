//! One process of one case: started, given its first event, then many more.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use runnerless_local::processes::Process;
use runnerless_local::runtime_api::{Function, Invocation, Program};

use super::BenchError;
use super::cases::{Case, SIGNING_TOKEN, TOKEN};
use super::cpu::CpuShare;
use super::stand_in::{Calls, StandIn};

/// How long one step of a function may take; a limited one needs most of a second to start.
const PATIENCE: Duration = Duration::from_secs(30);
/// What a call may take as the function is told. The template gives five to ten seconds.
const CALL_LIMIT: Duration = Duration::from_secs(10);

/// The table of our function and that of its floor: their rows are not alike.
pub(super) const TABLES: [&str; 2] = ["ledger", "floor-ledger"];
/// The parameters of the front door.
pub(super) const PARAMETERS: [(&str, &str); 2] =
    [("/runnerless/ingress/SecretToken", TOKEN), ("/runnerless/ingress/SigningToken", SIGNING_TOKEN)];

/// Which of the two is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Ours,
    Floor,
}

/// What one process showed, times in milliseconds.
#[derive(Clone, Debug, Default)]
pub(super) struct Sample {
    /// From the start of the process to its first request for an event.
    pub(super) ready: f64,
    /// From the start of the process to the first answer.
    pub(super) cold: f64,
    /// Each event after the first, from its handing over to its answer.
    pub(super) warm: Vec<f64>,
    /// Time on a processor up to the first answer: what a busy machine does not stretch.
    pub(super) cold_cpu: f64,
    /// Time on a processor for an event after the first, in the mean of the process.
    pub(super) warm_cpu: f64,
    /// Peak memory in KiB after the first answer.
    pub(super) rss_cold: u64,
    /// Peak memory in KiB after the last.
    pub(super) rss: u64,
    /// The calls to AWS.
    pub(super) calls: Calls,
}

/// Where and how the processes run.
#[derive(Debug)]
pub(super) struct Host<'a> {
    pub(super) programs: PathBuf,
    pub(super) stand_in: &'a StandIn,
    pub(super) share: Option<CpuShare>,
    /// Events after the first one.
    pub(super) warm_events: u32,
    /// Numbers the requests, so that each has a job of its own.
    pub(super) requests: u64,
}

impl Host<'_> {
    /// Runs one process of the case.
    pub(super) async fn run(&mut self, case: &Case, side: Side) -> Result<Sample, BenchError> {
        let mut function = Function::start(&self.program(case, side), PATIENCE).await?;
        let ready = function.ready().await?;
        let cold = self.call(&mut function, case).await?;
        let process = function.process();
        let mut sample = Sample {
            ready: ms(ready.duration_since(function.spawned())),
            cold: ms(cold.answered.duration_since(function.spawned())),
            rss_cold: peak(process)?,
            cold_cpu: on_processor(process)?,
            ..Sample::default()
        };
        for _ in 0..self.warm_events {
            sample.warm.push(ms(self.call(&mut function, case).await?.took()));
        }
        sample.rss = peak(process)?;
        sample.warm_cpu = (on_processor(process)? - sample.cold_cpu) / f64::from(self.warm_events.max(1));
        function.kill().await?;
        let (calls, refused) = self.stand_in.take_calls();
        match refused.into_iter().next() {
            Some(refused) => Err(BenchError::Refused { binary: name(case, side), refused }),
            None => Ok(Sample { calls, ..sample }),
        }
    }

    async fn call(
        &mut self,
        function: &mut Function,
        case: &Case,
    ) -> Result<runnerless_local::runtime_api::Answer, BenchError> {
        self.requests += 1;
        let event = case.event(self.requests);
        let id = format!("00000000-0000-4000-8000-{:012}", self.requests);
        let answer = function.invoke(&Invocation::new(id, &event, CALL_LIMIT)).await?;
        if case.fits(answer.json().as_ref()) {
            Ok(answer)
        } else {
            Err(BenchError::Answer { case: case.name, outcome: format!("{:?}", answer.outcome) })
        }
    }

    fn program(&self, case: &Case, side: Side) -> Program {
        let table = TABLES[usize::from(side == Side::Floor)];
        let program = Program::new(self.programs.join(name(case, side)))
            .env("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
            .env("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
            .env("AWS_ENDPOINT_URL", self.stand_in.url())
            .env("RUNNERLESS_PARAMETER_PATH", "/runnerless")
            .env("RUNNERLESS_LEDGER_TABLE", table)
            .env("RUNNERLESS_EVENT_BUS", "runnerless")
            .env("RUNNERLESS_GITLAB_URL", "https://gitlab.acme.example")
            .env("RUNNERLESS_ALLOW_TOKEN_WITH_SIGNING_KEY", "true");
        match &self.share {
            Some(share) => program.prefix(share.prefix()),
            None => program,
        }
    }
}

fn name(case: &Case, side: Side) -> &'static str {
    match side {
        Side::Ours => case.binary,
        Side::Floor => case.floor,
    }
}

fn ms(length: Duration) -> f64 {
    length.as_secs_f64() * 1000.0
}

/// The most memory that a process has had since it became its program: `VmHWM` of proc(5), in KiB.
pub(crate) fn peak(process: Option<Process>) -> Result<u64, BenchError> {
    let pid = process.map_or(0, |process| process.pid);
    let status = fs::read_to_string(format!("/proc/{pid}/status")).map_err(BenchError::Machine)?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|rest| rest.trim().strip_suffix(" kB")).and_then(|text| text.trim().parse().ok());
    number.ok_or_else(|| BenchError::Machine(std::io::Error::other("/proc tells no peak of the memory")))
}

/// The time that a process has been on a processor, in milliseconds: `schedstat` of proc(5), over its threads.
pub(crate) fn on_processor(process: Option<Process>) -> Result<f64, BenchError> {
    let pid = process.map_or(0, |process| process.pid);
    let threads = fs::read_dir(format!("/proc/{pid}/task")).map_err(BenchError::Machine)?;
    let ns = threads.flatten().filter_map(|thread| {
        let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<f64>().ok()
    });
    Ok(ns.sum::<f64>() / 1e6)
}
