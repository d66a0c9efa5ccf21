//! `make faults`: what goes wrong while an instance is launched, boots, runs a job and is stopped, played on the deployed
//! stack with real processes; a table that others can extend.
//!
//! A case is one JSON object on a line of a file in `cases/faults`; docs/development.md has the keys. [`read`] refuses a
//! table that cannot be carried out, with the line and the cure.
//!
//! The cases are played side by side: each has a job and a lane of its own, and its faults hit calls about these alone. The
//! sweep comes once a minute, as it is deployed. A case's script says that it runs, and waits until its case lets it end.

mod case;
mod gate;
mod ground;
mod left;
mod lines;
mod op;
mod play;

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use futures_util::StreamExt as _;
use futures_util::stream;
use tokio::time::Instant;

pub use crate::case_lines::Verdict;
pub use case::{Case, Expect, Fault, Job, Market, Phase};
pub use op::{BadOp, Op};

use crate::case_lines::CaseLines;
use crate::demo::tell;
use crate::field::{self, FieldError};
use crate::guard::Signals;
use crate::http::HttpError;
use crate::instances::Ec2Error;
use crate::instances::confine::{Confinement, NoConfinement};
use crate::pipelines::leftovers::Before;
use crate::seed::SeedError;
use crate::stack::{Options, Stack, StackError};
use crate::supervise::Endpoints;
use ground::Ground;

/// Our own table, below the checkout.
const TABLE: &str = "crates/dev/local/cases/faults/ec2.jsonl";
/// How many cases are played side by side: each has some ten processes.
const SIDE_BY_SIDE: usize = 12;

/// A table that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadTable {
    /// The file.
    #[error("{0} cannot be read: {1}")]
    Unreadable(PathBuf, #[source] std::io::Error),
    /// A line of it.
    #[error("{path}, line {line}: {why}")]
    Line {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong with it, and the cure.
        why: String,
    },
    /// Nothing would be shown.
    #[error("{0} has no case; write one JSON object a line")]
    Empty(PathBuf),
}

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Faults {
    /// The stack; one of its own, which is started and ended.
    pub stack: Options,
    /// Another table than ours.
    pub cases: Option<PathBuf>,
    /// Only cases whose name holds this.
    pub only: Option<String>,
    /// A file for the JSON lines.
    pub out: Option<PathBuf>,
    /// Where `unshare` and the like are.
    pub search_path: String,
}

/// The cases cannot be played.
#[derive(Debug, thiserror::Error)]
pub enum FaultsError {
    /// The table.
    #[error(transparent)]
    Table(#[from] BadTable),
    /// The file for the lines.
    #[error("OUT={path} cannot be written")]
    Out {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Nothing to play is no success.
    #[error("no case is called like {0:?}")]
    NoCases(String),
    /// No instance can run here.
    #[error(transparent)]
    Confinement(#[from] NoConfinement),
    /// The stack.
    #[error(transparent)]
    Stack(#[from] StackError),
    /// The ground of the cases.
    #[error(transparent)]
    Field(#[from] FieldError),
    /// Its outputs.
    #[error(transparent)]
    Seed(#[from] SeedError),
    /// The emulator, the witness or the simulator.
    #[error(transparent)]
    Call(#[from] HttpError),
    /// EC2.
    #[error(transparent)]
    Ec2(#[from] Ec2Error),
    /// Where scripts wait.
    #[error("there is no port for the cases' scripts")]
    Gate(#[source] io::Error),
    /// A signal came.
    #[error("interrupted")]
    Interrupted,
}

/// Reads a table; empty lines are skipped.
///
/// # Errors
/// See [`BadTable`].
pub fn read(path: &Path) -> Result<Vec<Case>, BadTable> {
    let text = std::fs::read_to_string(path).map_err(|error| BadTable::Unreadable(path.to_owned(), error))?;
    let mut ids = BTreeSet::new();
    let mut cases = Vec::new();
    for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let bad = |why: String| BadTable::Line { path: path.to_owned(), line: at + 1, why };
        let case: Case = serde_json::from_str(line).map_err(|error| bad(error.to_string()))?;
        case.check().map_err(|why| bad(format!("case {}: {why}", case.id)))?;
        if !ids.insert(case.id.clone()) {
            return Err(bad(format!("case {} is there twice; give it another id", case.id)));
        }
        cases.push(case);
    }
    if cases.is_empty() { Err(BadTable::Empty(path.to_owned())) } else { Ok(cases) }
}

/// Plays the cases; true when all that was stated held, and nothing is left.
///
/// # Errors
/// When they cannot be played at all. The stack is ended in any case.
pub async fn faults(wish: &Faults, signals: &mut Signals) -> Result<bool, FaultsError> {
    let began = Instant::now();
    let layout = &wish.stack.layout;
    let cases = chosen(wish)?;
    let out = wish.out.clone().unwrap_or_default();
    let bad = |source| FaultsError::Out { path: out.clone(), source };
    let mut lines = CaseLines::new("instances", wish.out.as_deref()).map_err(bad)?.of_target("faults");
    let runner = layout.command("runnerless-runner");
    Confinement::new(&runner, &wish.search_path, &layout.at("probe-of-the-faults")).await?;
    let before = Before::new(layout);
    let (mut passed, mut failed) = (0, 0);
    let stack = Stack::start(&wish.stack).await?;
    let gitlab = stack.gitlab().cloned();
    let endpoints = Endpoints { emulator: stack.emulator().to_owned(), proxy: stack.endpoint().to_owned(), gitlab };
    let tell_of = |verdict: &Verdict| {
        let held = verdict.holds();
        passed += usize::from(held);
        failed += usize::from(!held);
        tell(&verdict.said());
        lines.case(&verdict.id, &verdict.expected, &verdict.seen(), true, held);
    };
    tokio::select! {
        ran = run(&stack, &cases, tell_of) => ran?,
        () = signals.any() => return Err(FaultsError::Interrupted),
    }
    stack.stop().await;
    for left in before.leftovers(layout, Some(&endpoints)) {
        failed += 1;
        tell(&format!("LEFT BEHIND: {} {}", left.what, left.id));
        lines.leftover(left.what, &left.id);
    }
    lines.summary(passed, failed, 0, began.elapsed());
    lines.finish().map_err(bad)?;
    Ok(failed == 0 && passed > 0)
}

fn chosen(wish: &Faults) -> Result<Vec<Case>, FaultsError> {
    let own = wish.stack.layout.source(TABLE);
    let only = wish.only.as_deref().unwrap_or_default();
    let cases = read(wish.cases.as_deref().unwrap_or(&own))?;
    let cases: Vec<Case> = cases.into_iter().filter(|case| case.id.contains(only)).collect();
    if cases.is_empty() { Err(FaultsError::NoCases(only.to_owned())) } else { Ok(cases) }
}

/// Plays these cases on a stack that was just started, and says what came of each as soon as that is known.
///
/// # Errors
/// When they cannot be played at all.
pub async fn run(stack: &Stack, cases: &[Case], mut tell_of: impl FnMut(&Verdict)) -> Result<(), FaultsError> {
    tell(&format!("{} cases: deploying, making a lane and a job for each", cases.len()));
    let deployment = field::deploy(stack).await?;
    let ground = Ground::prepare(stack, &deployment, cases).await?;
    let (alone, mut together): (Vec<&Case>, Vec<&Case>) = cases.iter().partition(|case| case.alone);
    // What may take longest begins first.
    together.sort_by_key(|case| std::cmp::Reverse(case.longest_s()));
    for (cases, side_by_side) in [(together, SIDE_BY_SIDE), (alone, 1)] {
        let played = stream::iter(cases).map(|case| ground.play(case)).buffer_unordered(side_by_side);
        let mut played = std::pin::pin!(played);
        while let Some(verdict) = played.next().await {
            tell_of(&verdict);
        }
    }
    Ok(())
}
