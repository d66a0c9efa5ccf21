//! `make pool`: a pool of runner managers on a deployed stack, sized by its own scaler: one line a case.
//!
//! Its members are real processes, confined as all instances are: the runner manager (the official one where it is given), the
//! program that lets a member go, and real jobs of the simulator. The cases are played one after the other on one pool, whose
//! schedule is off: each says when the scaler runs. What takes the scaler minutes in a pool takes it runs here.

mod cases;
mod ground;
mod group;

use std::path::PathBuf;

use serde_json::json;

use crate::case_lines::Verdict;
use crate::demo::tell;
use crate::guard::Signals;
use crate::instances::confine::Confinement;
use crate::stack::{Options, Stack};
use crate::strays;
use crate::suite::{SuiteError, Tally};
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

/// Runs the cases; true when all that was stated held.
///
/// # Errors
/// When they cannot be run at all. The stack is ended in any case.
pub async fn pool_cases(wish: &PoolCases, signals: &mut Signals) -> Result<bool, SuiteError> {
    let mut tally = Tally::new("pool", "pool", wish.out.as_deref())?;
    let layout = &wish.stack.layout;
    let folder = layout.at("probe-of-the-cases");
    if let Err(why) = Confinement::new(&layout.command("runnerless-runner"), &wish.search_path, &folder).await {
        tally.skip(&why.to_string());
        return tally.end();
    }
    let stack = Stack::start(&wish.stack).await?;
    tokio::select! {
        ran = run(wish, &stack, &mut tally) => ran?,
        () = signals.any() => return Err(SuiteError::Interrupted),
    }
    stack.stop().await;
    tally.of(&nothing_runs(wish));
    tally.end()
}

async fn run(wish: &PoolCases, stack: &Stack, tally: &mut Tally) -> Result<(), SuiteError> {
    tell("deploying the stack and a pool beside it");
    let ground = Ground::prepare(stack, wish.official.as_deref()).await?;
    tally.of(&cases::grows(&ground).await?);
    if !wish.quick {
        tally.of(&cases::unreachable(&ground).await?);
    }
    tally.of(&cases::named_by_hand(&ground).await?);
    if !wish.quick {
        tally.of(&cases::changed_by_hand(&ground).await?);
        tally.of(&cases::shrinks(&ground).await?);
    }
    tally.of(&cases::look_alikes(&ground).await?);
    tally.of(&cases::removed(&ground).await?);
    Ok(())
}

/// After the stack's end.
fn nothing_runs(wish: &PoolCases) -> Verdict {
    let left = strays::of_stack(&wish.stack.layout.tmp());
    let mut verdict = Verdict::new("no process is left of the stack", json!([]));
    verdict.got = json!(left);
    verdict.unless(left.is_empty(), || format!("left: {left:?}"));
    verdict
}
