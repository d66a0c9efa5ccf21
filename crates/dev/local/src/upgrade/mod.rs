//! `make upgrade`: jobs that run while another release is deployed over the one that launched them.
//!
//! A stack of the earlier release launches half of the jobs, on Lambda and on instances. When all of their scripts run, the
//! present template and builds are deployed into that stack, while the other half begins to wait. Only when that is over do
//! the scripts go on. Each job must end once, with its own exit code and its whole log, on its first launch.

mod after;
mod ground;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use serde_json::json;
use tokio::time::Instant;

use crate::case_lines::CaseLines;
use crate::demo::tell;
use crate::field::FieldError;
use crate::guard::Signals;
use crate::http::HttpError;
use crate::instances::Ec2Error;
use crate::instances::confine::{Confinement, NoConfinement};
use crate::pipelines::leftovers::Before;
use crate::seed::SeedError;
use crate::stack::{Options, Stack, StackError};
use crate::supervise::Endpoints;
use crate::up::UpError;
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

/// The upgrade cannot be played.
#[derive(Debug, thiserror::Error)]
pub enum UpgradeError {
    /// The file for the lines.
    #[error("OUT={path} cannot be written")]
    Out {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file or port of the jobs.
    #[error("{what} cannot be used")]
    Machine {
        /// Which.
        what: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// No instance can run here.
    #[error(transparent)]
    Confinement(#[from] NoConfinement),
    /// The stack.
    #[error(transparent)]
    Stack(#[from] StackError),
    /// A deployment.
    #[error(transparent)]
    Up(#[from] UpError),
    /// The ground of the jobs.
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
    /// What the play builds on did not come.
    #[error("it did not come to this in {0} s: {1}")]
    Late(u64, String),
    /// A signal came.
    #[error("interrupted")]
    Interrupted,
}

/// Plays it; true when each job ended as it must, and nothing is left.
///
/// # Errors
/// When it cannot be played at all. The stack is ended in any case.
pub async fn upgrade(wish: &Upgrade, signals: &mut Signals) -> Result<bool, UpgradeError> {
    let began = Instant::now();
    let layout = &wish.stack.layout;
    let out = |source| UpgradeError::Out { path: wish.out.clone().unwrap_or_default(), source };
    let mut lines = CaseLines::new("upgrade", wish.out.as_deref()).map_err(out)?;
    let runner = layout.command("runnerless-runner");
    Confinement::new(&runner, &wish.search_path, &layout.at("probe-of-the-upgrade")).await?;
    let before = Before::new(layout);
    let stack = Stack::start(&wish.stack).await?;
    let gitlab = stack.gitlab().cloned();
    let endpoints = Endpoints { emulator: stack.emulator().to_owned(), proxy: stack.endpoint().to_owned(), gitlab };
    let verdicts = tokio::select! {
        played = play(wish, &stack) => played?,
        () = signals.any() => return Err(UpgradeError::Interrupted),
    };
    stack.stop().await;
    let (mut passed, mut failed) = (0, 0);
    for verdict in &verdicts {
        let held = verdict.holds();
        passed += usize::from(held);
        failed += usize::from(!held);
        tell(&verdict.said());
        lines.case(&verdict.id, &verdict.expected, &verdict.seen(), true, held);
    }
    for left in before.leftovers(layout, Some(&endpoints)) {
        failed += 1;
        tell(&format!("LEFT BEHIND: {} {}", left.what, left.id));
        lines.leftover(left.what, &left.id);
    }
    lines.summary(passed, failed, 0, began.elapsed());
    lines.finish().map_err(out)?;
    Ok(failed == 0 && passed > 0)
}

async fn play(wish: &Upgrade, stack: &Stack) -> Result<Vec<crate::case_lines::Verdict>, UpgradeError> {
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
