//! `make instances`: what is promised of instances, on a deployed stack whose instances are real processes, confined: one
//! line a case.
//!
//! All jobs are of one lane, so that GitLab may hand any of them to any of its runners; but for those that are about runners
//! ([`runners`]) and about the stack's removal ([`removal`]), which have stacks and lanes of their own. The sweep's schedule is off: a case that wants a sweep makes it.
//! What a case plants in EC2 and GitLab goes with the stack.

mod alike;
mod calls;
mod cost;
pub(crate) mod gate;
mod ground;
mod harm;
mod reach;
mod removal;
mod runners;
mod swap;

use std::io;
use std::path::PathBuf;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::case_lines::CaseLines;
use crate::demo::tell;
use crate::field::FieldError;
use crate::guard::Signals;
use crate::http::HttpError;
use crate::instances::Ec2Error;
use crate::instances::confine::Confinement;
use crate::layout::LayoutError;
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
    /// The official `gitlab-runner`; a stand-in takes its place where none is given.
    pub official: Option<PathBuf>,
    /// Where `unshare` and the like are.
    pub search_path: String,
}

/// The parts that are about one lane, on one stack.
const PARTS: [&str; 5] = ["swap", "calls", "look-alikes", "reach", "user data"];

impl InstanceCases {
    /// Whether a part is wanted.
    fn wants(&self, part: &str) -> bool {
        self.only.as_deref().is_none_or(|only| part.contains(only))
    }
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
    /// Its folder.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// Its secrets and lanes.
    #[error(transparent)]
    Seed(#[from] SeedError),
    /// The same, of the cases about runners.
    #[error(transparent)]
    Field(#[from] FieldError),
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
    /// The operator's command.
    #[error("{0} cannot be run; run `cargo build --release`")]
    Command(PathBuf, #[source] io::Error),
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
            if PARTS.iter().any(|part| wish.wants(part)) {
                let stack = Stack::start(&wish.stack).await?;
                tokio::select! {
                    ran = run(wish, &stack, &mut told) => ran?,
                    () = signals.any() => return Err(InstanceCasesError::Interrupted),
                }
                stack.stop().await;
            }
            if wish.wants(runners::PART) {
                let stack = Stack::start(&runners::options(&wish.stack)?).await?;
                tokio::select! {
                    ran = runners::runners(wish, &stack, &mut told) => ran?,
                    () = signals.any() => return Err(InstanceCasesError::Interrupted),
                }
                stack.stop().await;
            }
            if wish.wants(removal::PART) {
                tokio::select! {
                    ran = removal::removal(wish, &mut told) => ran?,
                    () = signals.any() => return Err(InstanceCasesError::Interrupted),
                }
            }
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
    if wish.wants("swap") {
        told.of(swap::swap(&ground).await?);
    }
    // By now the functions' processes have what they read once.
    if wish.wants("calls") {
        calls::calls(&ground).await?.into_iter().for_each(|verdict| told.of(verdict));
    }
    if wish.wants("look-alikes") {
        alike::look_alikes(&ground).await?.into_iter().for_each(|verdict| told.of(verdict));
    }
    if wish.wants("reach") {
        reach::reach(&ground).await?.into_iter().for_each(|verdict| told.of(verdict));
    }
    if wish.wants("user data") {
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
