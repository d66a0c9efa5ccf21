//! `make instances`: what is promised of instances, on a deployed stack whose instances are real processes, confined: one
//! line a case.
//!
//! All jobs are of one lane, so that GitLab may hand any of them to any of its runners. The sweep's schedule is off: a case
//! that wants a sweep makes it. What a case plants in EC2 and GitLab goes with the stack.

mod alike;
mod calls;
mod cost;
mod gate;
mod ground;
mod harm;
mod reach;
mod swap;

use std::io;
use std::path::PathBuf;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::case_lines::CaseLines;
use crate::demo::tell;
use crate::guard::Signals;
use crate::http::HttpError;
use crate::instances::Ec2Error;
use crate::instances::confine::Confinement;
use crate::pipelines::RepositoryError;
use crate::seed::SeedError;
use crate::stack::{Options, Stack, StackError};
use crate::up::UpError;
use ground::Ground;

/// What is asked for.
#[derive(Clone, Debug)]
pub struct InstanceCases {
    /// The stack; one of its own, which is started and ended.
    pub stack: Options,
    /// Only cases whose name holds this.
    pub only: Option<String>,
    /// A file for the JSON lines.
    pub out: Option<PathBuf>,
    /// Where `unshare` and the like are.
    pub search_path: String,
}

/// The cases cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum InstanceCasesError {
    /// The file for the lines.
    #[error("OUT={path} cannot be written")]
    Out {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Nothing to run is no success.
    #[error("no case is called like {0:?}")]
    NoCases(String),
    /// The stack.
    #[error(transparent)]
    Stack(#[from] StackError),
    /// Its deployment.
    #[error(transparent)]
    Up(#[from] UpError),
    /// Its secrets and lanes.
    #[error(transparent)]
    Seed(#[from] SeedError),
    /// The repository of the cases' jobs.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// A file or port of the cases' jobs.
    #[error("{what} cannot be used")]
    Machine {
        /// Which.
        what: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The emulator, the witness or the simulator.
    #[error(transparent)]
    Call(#[from] HttpError),
    /// EC2.
    #[error(transparent)]
    Ec2(#[from] Ec2Error),
    /// The stack lacks something that the cases need.
    #[error("the stack has no {0}")]
    Missing(String),
    /// What a case builds on did not come.
    #[error("it did not come to this in {0} s: {1}")]
    Late(u64, String),
    /// A signal came.
    #[error("interrupted")]
    Interrupted,
}

/// What came of a case.
#[derive(Clone, Debug)]
struct Verdict {
    id: String,
    expected: Value,
    got: Value,
    /// What did not hold, in words.
    why: Vec<String>,
}

impl Verdict {
    fn new(id: impl Into<String>, expected: Value) -> Self {
        Self { id: id.into(), expected, got: json!({}), why: Vec::new() }
    }

    fn unless(&mut self, holds: bool, why: impl FnOnce() -> String) {
        if !holds {
            self.why.push(why());
        }
    }
}

/// Runs the cases; true when all that was stated held.
///
/// # Errors
/// When they cannot be run at all. The stack is ended in any case.
pub async fn instance_cases(wish: &InstanceCases, signals: &mut Signals) -> Result<bool, InstanceCasesError> {
    let began = Instant::now();
    let out = |source| InstanceCasesError::Out { path: wish.out.clone().unwrap_or_default(), source };
    let mut told = Told { lines: CaseLines::new("instances", wish.out.as_deref()).map_err(out)?, passed: 0, failed: 0 };
    let skipped = match confinement(wish).await {
        Some(why) => {
            tell(&format!("skipped: {why}"));
            1
        }
        None => {
            let stack = Stack::start(&wish.stack).await?;
            tokio::select! {
                ran = run(wish, &stack, &mut told) => ran?,
                () = signals.any() => return Err(InstanceCasesError::Interrupted),
            }
            stack.stop().await;
            0
        }
    };
    if skipped == 0 && told.passed + told.failed == 0 {
        return Err(InstanceCasesError::NoCases(wish.only.clone().unwrap_or_default()));
    }
    told.lines.summary(told.passed, told.failed, skipped, began.elapsed());
    told.lines.finish().map_err(out)?;
    Ok(told.failed == 0)
}

/// Why no instance can run here, for a reason that `docs/limits.md` lists.
async fn confinement(wish: &InstanceCases) -> Option<String> {
    let layout = &wish.stack.layout;
    let folder = layout.at("probe-of-the-cases");
    let confined = Confinement::new(&layout.command("runnerless-runner"), &wish.search_path, &folder).await;
    confined.err().map(|error| error.to_string())
}

async fn run(wish: &InstanceCases, stack: &Stack, told: &mut Told) -> Result<(), InstanceCasesError> {
    tell("deploying, making a lane of instances and its jobs");
    let ground = Ground::prepare(stack).await?;
    let wanted = |part: &str| wish.only.as_deref().is_none_or(|only| part.contains(only));
    if wanted("swap") {
        told.of(swap::swap(&ground).await?);
    }
    // By now the functions' processes have what they read once.
    if wanted("calls") {
        calls::calls(&ground).await?.into_iter().for_each(|verdict| told.of(verdict));
    }
    if wanted("look-alikes") {
        alike::look_alikes(&ground).await?.into_iter().for_each(|verdict| told.of(verdict));
    }
    if wanted("reach") {
        reach::reach(&ground).await?.into_iter().for_each(|verdict| told.of(verdict));
    }
    if wanted("user data") {
        harm::harm(&ground).await?.into_iter().for_each(|verdict| told.of(verdict));
    }
    Ok(())
}

/// The lines so far.
struct Told {
    lines: CaseLines,
    passed: usize,
    failed: usize,
}

impl Told {
    fn of(&mut self, verdict: Verdict) {
        let Verdict { id, expected, mut got, why } = verdict;
        let ok = why.is_empty();
        let reasons: String = why.iter().map(|why| format!("\n         {why}")).collect();
        tell(&format!("{} {id}{reasons}", if ok { "ok    " } else { "FAILED" }));
        if ok {
            self.passed += 1;
        } else {
            self.failed += 1;
            got["why"] = json!(why);
        }
        self.lines.case(&id, &expected, &got, true, ok);
    }
}
