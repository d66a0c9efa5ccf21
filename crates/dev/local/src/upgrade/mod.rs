//! `make upgrade`: jobs that run while another release is deployed over the one that launched them.
//!
//! A stack of the earlier release launches half of the jobs, on Lambda and on instances. When all of their scripts run, the
//! present template and builds are deployed into that stack, while the other half begins to wait. Only when that is over do
//! the scripts go on. Each job must end once, with its own exit code and its whole log, on its first launch.

mod after;
mod ground;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::json;

use crate::case_lines::Verdict;
use crate::demo::tell;
use crate::guard::Signals;
use crate::instances::confine::Confinement;
use crate::pipelines::leftovers::Before;
use crate::stack::{Options, Stack};
use crate::suite::{SuiteError, Tally};
use ground::Ground;

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Upgrade {
    /// The stack; one of its own, which is started and ended.
    pub stack: Options,
    /// The earlier release: `source`, a checkout of it, and `target/release`, its builds.
    pub before: PathBuf,
    /// How many jobs there are.
    pub jobs: usize,
    /// A file for the JSON lines.
    pub out: Option<PathBuf>,
    /// Where `unshare` and the like are.
    pub search_path: String,
}

/// Plays it; true when each job ended as it must, and nothing is left.
///
/// # Errors
/// When it cannot be played at all. The stack is ended in any case.
pub async fn upgrade(wish: &Upgrade, signals: &mut Signals) -> Result<bool, SuiteError> {
    let layout = &wish.stack.layout;
    let mut tally = Tally::new("upgrade", "upgrade", wish.out.as_deref())?;
    let runner = layout.command("runnerless-runner");
    Confinement::new(&runner, &wish.search_path, &layout.at("probe-of-the-upgrade")).await?;
    let before = Before::new(layout);
    let stack = Stack::start(&wish.stack).await?;
    let endpoints = stack.endpoints().clone();
    let verdicts = tokio::select! {
        played = play(wish, &stack) => played?,
        () = signals.any() => return Err(SuiteError::Interrupted),
    };
    stack.stop().await;
    verdicts.iter().for_each(|verdict| tally.of(verdict));
    before.leftovers(layout, Some(&endpoints)).iter().for_each(|left| tally.left(left));
    tally.end()
}

async fn play(wish: &Upgrade, stack: &Stack) -> Result<Vec<Verdict>, SuiteError> {
    tell("deploying the earlier release");
    let (before, deployment) = ground::deploy_before(stack, &wish.before).await?;
    let ground = Ground::prepare(stack, &deployment, wish.jobs).await?;
    tell("half of the jobs begin");
    let (first, second) = ground.jobs.split_at(ground.jobs.len() / 2);
    ground.start(first).await?;
    ground.all_run(first).await?;
    tell("this release is deployed, and the other half of the jobs begins");
    let (after, started) = tokio::join!(ground::deploy_after(stack), ground.start(second));
    let after = after?;
    started?;
    ground.all_run(second).await?;
    tell("all scripts go on");
    ground.go_on();
    let renewed: BTreeMap<&String, bool> =
        after.iter().map(|(part, digest)| (part, before.get(part) != Some(digest))).collect();
    let mut verdicts = vec![ground.renewed(&json!(renewed), renewed.values().all(|is| *is))];
    for job in &ground.jobs {
        verdicts.push(ground.ended(job).await?);
    }
    verdicts.push(ground.left().await?);
    Ok(verdicts)
}
