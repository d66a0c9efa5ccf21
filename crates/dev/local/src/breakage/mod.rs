//! `make breakage`: the deployed stack with its services and its executors out of order, one case after the other, and
//! what is stated beforehand to come of each: what GitLab is answered, what is stored, who puts it right and how soon.
//!
//! Each case has a job and a lane of its own, so that no launch serves another case's job. The sweep's schedule is off, and
//! no sentinel is sent: a case that the sweep is to put right waits while others are played, and is swept by hand then; so does one that the
//! terminator is to put right, which takes its time. No limit of ours is
//! changed, and GitLab's time for an acceptance is shortened.

pub mod case;
pub mod expect;
mod ground;
mod heal;
pub mod kind;
mod lines;
mod pipeline;
mod play;
pub mod table;
mod workflows;

use std::path::PathBuf;
use std::time::Duration;

use crate::demo::tell;
use crate::field;
use crate::guard::Signals;
use crate::stack::{Options, Stack};
use crate::suite::{SuiteError, Tally};
use case::{Case, Pace};
use expect::Healer;
use ground::Ground;

pub use crate::case_lines::Verdict;

/// How long a case may wait for its sweep. Longer than the schedule's minute, and much shorter than any lease.
const SWEPT_AFTER: Duration = Duration::from_secs(70);

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Breakage {
    /// The stack; one of its own, which is started and ended.
    pub stack: Options,
    /// Only cases whose name holds this.
    pub only: Option<String>,
    /// How much time there is.
    pub pace: Pace,
    /// A file for the JSON lines.
    pub out: Option<PathBuf>,
}

/// Runs the cases; true when all that was stated held.
///
/// # Errors
/// When they cannot be run at all. The stack is ended in any case.
pub async fn breakage(wish: &Breakage, signals: &mut Signals) -> Result<bool, SuiteError> {
    let mut tally = Tally::new("faults", "breakage", wish.out.as_deref())?;
    let cases = chosen(wish)?;
    let stack = Stack::start(&wish.stack).await?;
    tokio::select! {
        ran = run(&stack, &cases, |verdict| tally.of(verdict)) => ran?,
        () = signals.any() => return Err(SuiteError::Interrupted),
    }
    stack.stop().await;
    tally.end()
}

fn chosen(wish: &Breakage) -> Result<Vec<Case>, SuiteError> {
    let only = wish.only.as_deref().unwrap_or_default();
    // A case that is asked for by its name is run however long it takes.
    let cases = table::all().into_iter().filter(|case| case.id.contains(only));
    let cases: Vec<Case> = cases.filter(|case| !only.is_empty() || case.pace <= wish.pace).collect();
    if cases.is_empty() { Err(SuiteError::NoCases(only.to_owned())) } else { Ok(cases) }
}

/// Runs these cases on a stack that was just started, and says what came of each as soon as that is known.
///
/// # Errors
/// When they cannot be run at all.
pub async fn run(stack: &Stack, cases: &[Case], mut tell_of: impl FnMut(&Verdict)) -> Result<(), SuiteError> {
    tell(&format!("{} cases: deploying, making a lane and a job for each", cases.len()));
    let deployment = field::deploy(stack).await?;
    let ground = Ground::prepare(stack, &deployment, cases).await?;
    // It verifies the lanes' tokens, so that no executor has to: its writes would meet what is meant for its moves.
    ground.field.sweep().await?;
    let mut later = Vec::new();
    for case in cases {
        let seen = ground.play(case).await?;
        match case.expect.healed_by {
            Healer::Sweep | Healer::Terminator if seen.why.is_empty() => later.push((case, seen)),
            _ => tell_of(&seen.verdict(case)),
        }
        if later.first().is_some_and(|(_, seen)| seen.lifted.elapsed() > SWEPT_AFTER) {
            ground.heal(std::mem::take(&mut later), &mut tell_of).await?;
        }
    }
    ground.heal(later, tell_of).await
}
