//! Simulated worlds: our handlers against a GitLab and an AWS in which everything goes wrong.
//!
//! One world runs on one thread, in virtual time, from one seed. Everything that is ours and decides is the real thing:
//! ingest, router, provisioner, terminator, reconciler, claim, checkin, and each move on the ledger. Everything around it is a stand-in with the
//! semantics that matter: conditional writes and transactions, an index that is behind, deliveries at least once, throttling,
//! answers that get lost after their effect, processes that end or stand still between any two steps. What goes wrong is
//! drawn from the seed, so that a seed is a world, and the same one each time.
//!
//! An instance of EC2 is one more process, which speaks through `checkin`; [`ec2`] is what is around it: a boot before it,
//! AWS's reclaim over it, and answers about it that get lost or are behind.
//!
//! In some worlds there is a [`pool`] beside it all: runner managers that live long, and the scaler that gives their group its size.

mod arguments;
mod check;
mod ec2;
mod event;
mod fault;
mod functions;
pub mod gitlab;
mod hands;
mod metrics;
mod pool;
mod process;
mod report;
mod run;
mod runner;
mod setup;
mod shrink;
mod timeline;
mod trace;
mod world;

pub use arguments::{Arguments, BadArguments};
pub use check::{PoolCounts, Promise, RunnerCounts, Violation};
pub use fault::{Delay, Fault, Hits};
pub use report::{Seed, Vacuous};
pub use run::{Broken, Outcome, Plan, run};
pub use setup::{Knowledge, Wish};
pub use shrink::shrink;

/// Runs one world whose last lines are kept: its violations, its hash and those lines.
#[must_use]
pub fn replay(wish: &Wish) -> (Vec<Violation>, String, Vec<String>) {
    silence();
    let ended = world::run(wish);
    (ended.verdict.violations, hex::encode(ended.hash), ended.last)
}

/// From now on the functions' counts are the worlds', and are not printed.
pub fn silence() {
    runnerless_lambda_kit::metrics::divert(metrics::count);
}
