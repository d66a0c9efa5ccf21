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
use std::path::{Path, PathBuf};

use futures_util::StreamExt as _;
use futures_util::stream;

pub use crate::case_lines::Verdict;
pub use case::{Case, Expect, Fault, Job, Market, Phase};
pub use op::{BadOp, Op};

use crate::demo::tell;
use crate::field;
use crate::guard::Signals;
use crate::instances::confine::Confinement;
use crate::pipelines::leftovers::Before;
use crate::stack::{Options, Stack};
use crate::suite::{SuiteError, Tally};
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
pub async fn faults(wish: &Faults, signals: &mut Signals) -> Result<bool, SuiteError> {
    let layout = &wish.stack.layout;
    let cases = chosen(wish)?;
    let mut tally = Tally::new("instances", "faults", wish.out.as_deref())?;
    let runner = layout.command("runnerless-runner");
    Confinement::new(&runner, &wish.search_path, &layout.at("probe-of-the-faults")).await?;
    let before = Before::new(layout);
    let stack = Stack::start(&wish.stack).await?;
    let endpoints = stack.endpoints().clone();
    tokio::select! {
        ran = run(&stack, &cases, |verdict| tally.of(verdict)) => ran?,
        () = signals.any() => return Err(SuiteError::Interrupted),
    }
    stack.stop().await;
    before.leftovers(layout, Some(&endpoints)).iter().for_each(|left| tally.left(left));
    tally.end()
}

fn chosen(wish: &Faults) -> Result<Vec<Case>, SuiteError> {
    let own = wish.stack.layout.source(TABLE);
    let only = wish.only.as_deref().unwrap_or_default();
    let cases = read(wish.cases.as_deref().unwrap_or(&own))?;
    let cases: Vec<Case> = cases.into_iter().filter(|case| case.id.contains(only)).collect();
    if cases.is_empty() { Err(SuiteError::NoCases(only.to_owned())) } else { Ok(cases) }
}

/// Plays these cases on a stack that was just started, and says what came of each as soon as that is known.
///
/// # Errors
/// When they cannot be played at all.
pub async fn run(stack: &Stack, cases: &[Case], mut tell_of: impl FnMut(&Verdict)) -> Result<(), SuiteError> {
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
