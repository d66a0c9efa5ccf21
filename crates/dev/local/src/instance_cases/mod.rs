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

use std::path::PathBuf;

use crate::demo::tell;
use crate::guard::Signals;
use crate::instances::confine::Confinement;
use crate::stack::{Options, Stack};
use crate::suite::{SuiteError, Tally};
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

/// Runs the cases; true when all that was stated held.
///
/// # Errors
/// When they cannot be run at all. The stack is ended in any case.
pub async fn instance_cases(wish: &InstanceCases, signals: &mut Signals) -> Result<bool, SuiteError> {
    let mut tally = Tally::new("instances", "instances", wish.out.as_deref())?;
    match confinement(wish).await {
        Some(why) => tally.skip(&why),
        None => tokio::select! {
            ran = parts(wish, &mut tally) => ran?,
            () = signals.any() => return Err(SuiteError::Interrupted),
        },
    }
    if tally.is_empty() {
        return Err(SuiteError::NoCases(wish.only.clone().unwrap_or_default()));
    }
    tally.end()
}

/// The parts that are wanted, on the stacks that they need.
async fn parts(wish: &InstanceCases, tally: &mut Tally) -> Result<(), SuiteError> {
    if PARTS.iter().any(|part| wish.wants(part)) {
        let stack = Stack::start(&wish.stack).await?;
        run(wish, &stack, tally).await?;
        stack.stop().await;
    }
    if wish.wants(runners::PART) {
        let stack = Stack::start(&runners::options(&wish.stack)?).await?;
        runners::runners(wish, &stack, tally).await?;
        stack.stop().await;
    }
    if wish.wants(removal::PART) {
        removal::removal(wish, tally).await?;
    }
    Ok(())
}

/// Why no instance can run here, for a reason that `docs/limits.md` lists.
async fn confinement(wish: &InstanceCases) -> Option<String> {
    let layout = &wish.stack.layout;
    let folder = layout.at("probe-of-the-cases");
    let confined = Confinement::new(&layout.command("runnerless-runner"), &wish.search_path, &folder).await;
    confined.err().map(|error| error.to_string())
}

async fn run(wish: &InstanceCases, stack: &Stack, tally: &mut Tally) -> Result<(), SuiteError> {
    tell("deploying, making a lane of instances and its jobs");
    let ground = Ground::prepare(stack).await?;
    if wish.wants("swap") {
        tally.of(&swap::swap(&ground).await?);
    }
    // By now the functions' processes have what they read once.
    if wish.wants("calls") {
        calls::calls(&ground).await?.iter().for_each(|verdict| tally.of(verdict));
    }
    if wish.wants("look-alikes") {
        alike::look_alikes(&ground).await?.iter().for_each(|verdict| tally.of(verdict));
    }
    if wish.wants("reach") {
        reach::reach(&ground).await?.iter().for_each(|verdict| tally.of(verdict));
    }
    if wish.wants("user data") {
        harm::harm(&ground).await?.iter().for_each(|verdict| tally.of(verdict));
    }
    Ok(())
}
