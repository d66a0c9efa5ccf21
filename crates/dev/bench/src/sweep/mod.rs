//! The sweep over a large ledger: the real reconciler, against a DynamoDB of the emulator, behind the witness.
//!
//! The table holds very many open rows, most of which are due much later. Before each round so many jobs are made due whose
//! webhook was stored and whose event was lost, and launches with running jobs are made to look alive. Then a fresh process
//! of the function plans (a dry run) and acts, and the witness counts its calls. The emulator answers, not AWS: its times
//! say how much work there is, and nothing about AWS's latency.

mod ledger;
mod numbers;
mod round;

use std::io;
use std::path::PathBuf;

use runnerless_local::deploy::DeployError;
use runnerless_local::http::HttpError;
use runnerless_local::layout::{Layout, LayoutError};
use runnerless_local::runtime_api::RuntimeApiError;
use runnerless_local::stack::{Options, Stack, StackError};

use crate::lines::Lines;
use ledger::Ledger;
use numbers::line;
use round::{Host, Round};

/// What is wanted.
#[derive(Clone, Debug)]
pub struct Wish {
    /// Where the built programs are.
    pub programs: PathBuf,
    /// The checkout's state folder for this bench.
    pub state: PathBuf,
    /// Open rows in the table.
    pub rows: u32,
    /// How many of them are due jobs.
    pub due: u32,
    /// How often it is measured.
    pub rounds: u32,
}

/// The bench could not be run to its end.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The state folder.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The emulator.
    #[error(transparent)]
    Stack(#[from] StackError),
    /// The function that launches start.
    #[error(transparent)]
    Target(#[from] DeployError),
    /// A call of the bench's own.
    #[error(transparent)]
    Call(#[from] HttpError),
    /// The reconciler does not do what the Runtime API asks for.
    #[error(transparent)]
    Function(#[from] RuntimeApiError),
    /// The reconciler answered something else than a report.
    #[error("the sweep answered {0}")]
    Answer(String),
    /// The machine does not let the bench do its work.
    #[error("the bench cannot work here")]
    Machine(#[from] io::Error),
}

/// Fills a table, measures, and writes two lines: planning alone, and planning and acting.
///
/// # Errors
/// Something does not work: its numbers would say nothing.
pub async fn bench(wish: &Wish, lines: &mut Lines, tell: &impl Fn(&str)) -> Result<(), BenchError> {
    let layout = Layout::new(&std::env::current_dir()?, &wish.state)?;
    let program = wish.programs.join("runnerless-local");
    let stack =
        Stack::start(&Options { layout, program, simulator: false, gitlab_root: String::new(), ephemeral: true })
            .await?;
    let measured = measure(wish, &stack, tell).await;
    stack.stop().await;
    let rounds = measured?;
    lines.bench(line(wish, "plan", &rounds.iter().map(|round| &round.plan).collect::<Vec<_>>()));
    lines.bench(line(wish, "act", &rounds.iter().map(|round| &round.act).collect::<Vec<_>>()));
    Ok(())
}

async fn measure(wish: &Wish, stack: &Stack, tell: &impl Fn(&str)) -> Result<Vec<Round>, BenchError> {
    let ledger = Ledger::make(stack).await?;
    let host = Host::new(wish, stack, &ledger).await?;
    tell(&format!("sweep: writing {} open rows", wish.rows));
    ledger.fill(wish.rows.saturating_sub(wish.due)).await?;
    let mut rounds = Vec::new();
    for round in 0..wish.rounds {
        let measured = host.round(round).await?;
        let (plan, act) = (&measured.plan, &measured.act);
        tell(&format!(
            "sweep: round {} of {}: planned {} in {:.0} ms, launched for {} in {:.0} ms",
            round + 1,
            wish.rounds,
            plan.done,
            plan.ms,
            act.done,
            act.ms
        ));
        rounds.push(measured);
    }
    Ok(rounds)
}
