//! `make pool`: a pool of runner managers on a deployed stack, sized by its own scaler: one line a case.
//!
//! Its members are real processes, confined as all instances are: the runner manager (the official one where it is given), the
//! program that lets a member go, and real jobs of the simulator. The cases are played one after the other on one pool, whose
//! schedule is off: each says when the scaler runs. What takes the scaler minutes in a pool takes it runs here.

mod cases;
mod ground;
mod group;

use std::io;
use std::path::PathBuf;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::case_lines::{CaseLines, Verdict};
use crate::demo::tell;
use crate::deploy::DeployError;
use crate::guard::Signals;
use crate::http::HttpError;
use crate::instances::Ec2Error;
use crate::instances::confine::Confinement;
use crate::pipelines::RepositoryError;
use crate::seed::SeedError;
use crate::stack::{Options, Stack, StackError};
use crate::strays;
use crate::up::UpError;
use ground::Ground;

/// What is asked for.
#[derive(Clone, Debug)]
pub struct PoolCases {
    /// The stack; one of its own, which is started and ended.
    pub stack: Options,
    /// Only what a pool is for: it grows, has a busy member finish, and goes with its stack.
    pub quick: bool,
    /// A file for the JSON lines.
    pub out: Option<PathBuf>,
    /// The official `gitlab-runner`; a stand-in takes its place where none is given.
    pub official: Option<PathBuf>,
    /// Where `unshare` and the like are.
    pub search_path: String,
}

/// The cases cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum PoolCasesError {
    /// The file for the lines.
    #[error("OUT={path} cannot be written")]
    Out {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The stack.
    #[error(transparent)]
    Stack(#[from] StackError),
    /// Its deployment.
    #[error(transparent)]
    Up(#[from] UpError),
    /// The pool's.
    #[error(transparent)]
    Deploy(#[from] DeployError),
    /// Its secrets.
    #[error(transparent)]
    Seed(#[from] SeedError),
    /// The repository of the jobs.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// A file or port.
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
    /// The scaler failed.
    #[error("the scaler failed: {0}")]
    Scaler(String),
    /// What a case builds on did not come.
    #[error("it did not come to this in {0} s: {1}")]
    Late(u64, String),
    /// A signal came.
    #[error("interrupted")]
    Interrupted,
}

/// Runs the cases; true when all that was stated held.
///
/// # Errors
/// When they cannot be run at all. The stack is ended in any case.
pub async fn pool_cases(wish: &PoolCases, signals: &mut Signals) -> Result<bool, PoolCasesError> {
    let began = Instant::now();
    let out = |source| PoolCasesError::Out { path: wish.out.clone().unwrap_or_default(), source };
    let mut told = Told { lines: CaseLines::new("pool", wish.out.as_deref()).map_err(out)?, passed: 0, failed: 0 };
    let layout = &wish.stack.layout;
    let folder = layout.at("probe-of-the-cases");
    let confined = Confinement::new(&layout.command("runnerless-runner"), &wish.search_path, &folder).await;
    let skipped = match confined {
        Err(why) => {
            tell(&format!("skipped: {why}"));
            1
        }
        Ok(_) => {
            let stack = Stack::start(&wish.stack).await?;
            tokio::select! {
                ran = run(wish, &stack, &mut told) => ran?,
                () = signals.any() => return Err(PoolCasesError::Interrupted),
            }
            stack.stop().await;
            told.of(&nothing_runs(wish));
            0
        }
    };
    told.lines.summary(told.passed, told.failed, skipped, began.elapsed());
    told.lines.finish().map_err(out)?;
    Ok(told.failed == 0)
}

async fn run(wish: &PoolCases, stack: &Stack, told: &mut Told) -> Result<(), PoolCasesError> {
    tell("deploying the stack and a pool beside it");
    let ground = Ground::prepare(stack, wish.official.as_deref()).await?;
    told.of(&cases::grows(&ground).await?);
    if !wish.quick {
        told.of(&cases::unreachable(&ground).await?);
    }
    told.of(&cases::named_by_hand(&ground).await?);
    if !wish.quick {
        told.of(&cases::changed_by_hand(&ground).await?);
        told.of(&cases::shrinks(&ground).await?);
    }
    told.of(&cases::look_alikes(&ground).await?);
    told.of(&cases::removed(&ground).await?);
    Ok(())
}

/// After the stack's end.
fn nothing_runs(wish: &PoolCases) -> Verdict {
    let left = strays::of_stack(&wish.stack.layout.tmp());
    let mut verdict = verdict("no process is left of the stack", json!([]));
    verdict.got = json!(left);
    if !left.is_empty() {
        verdict.why.push(format!("left: {left:?}"));
    }
    verdict
}

/// A case that holds so far.
fn verdict(id: &str, expected: Value) -> Verdict {
    Verdict { id: id.to_owned(), expected, got: json!({}), why: Vec::new(), words: id.to_owned() }
}

/// The lines so far.
struct Told {
    lines: CaseLines,
    passed: usize,
    failed: usize,
}

impl Told {
    fn of(&mut self, verdict: &Verdict) {
        tell(&verdict.said());
        if verdict.holds() {
            self.passed += 1;
        } else {
            self.failed += 1;
        }
        self.lines.case(&verdict.id, &verdict.expected, &verdict.seen(), true, verdict.holds());
    }
}
