//! The sweep's schedule, and the two sweeps that are killed in the middle of their work.

use std::cell::Cell;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;
use tokio::time::{Instant, sleep, sleep_until};

use crate::aws::Aws;
use crate::demo::tell;
use crate::layout::Layout;
use crate::processes::part::of_part;
use crate::suite::SuiteError;
use crate::witness::Witness;

/// Pause between two looks whether a sweep has come to the call in which it is killed. Much shorter than the three seconds
/// after which a call that hangs is given up.
pub(super) const PAUSE: Duration = Duration::from_millis(50);
/// Longer than any sweep.
const OVER: Duration = Duration::from_secs(60);

/// What sweeps.
#[derive(Debug)]
pub(super) struct Sweeps<'a> {
    pub(super) aws: Aws,
    pub(super) witness: &'a Witness,
    pub(super) layout: &'a Layout,
    /// The function's name.
    pub(super) function: &'a str,
    /// The schedule's pause.
    pub(super) every: Duration,
    /// In which call, counted from the sweep's beginning, the first and the third sweep are killed.
    pub(super) kills: [u64; 2],
    /// How many were started, and how many of them killed.
    pub(super) started: Cell<usize>,
    pub(super) killed: Cell<usize>,
}

impl Sweeps<'_> {
    /// Whether all that are to be killed were.
    pub(super) fn all_killed(&self) -> bool {
        self.killed.get() >= self.kills.len()
    }

    /// Sweeps as the schedule does, until the storm is over. This never returns but with an error.
    pub(super) async fn run(&self) -> Result<std::convert::Infallible, SuiteError> {
        let mut next = Instant::now() + self.every;
        loop {
            sleep_until(next).await;
            next += self.every;
            let index = self.started.replace(self.started.get() + 1);
            let nth = self.kills.get(self.killed.get()).filter(|_| index.is_multiple_of(2));
            let Some(nth) = nth else {
                self.aws.invoke_later(self.function, "{}".to_owned()).await?;
                continue;
            };
            let fault = json!({"op": "dynamodb:*", "nth": nth, "do": "hang:before", "function": self.function});
            self.witness.set(&fault).await?;
            self.aws.invoke_later(self.function, "{}".to_owned()).await?;
            self.kill(next.min(Instant::now() + OVER)).await?;
        }
    }

    /// Kills the sweep as soon as it is in the call; one that ends before it gets there lives.
    async fn kill(&self, until: Instant) -> Result<(), SuiteError> {
        let hit = self.killed.get() + 1;
        while self.hits().await? < hit {
            if Instant::now() > until {
                return Ok(());
            }
            sleep(PAUSE).await;
        }
        for process in of_part(self.layout, "reconciler") {
            process.signal(Signal::KILL);
        }
        self.killed.set(hit);
        tell("  a sweep was killed in the middle of its work");
        Ok(())
    }

    /// How many sweeps are, or were, in the call in which they are killed.
    async fn hits(&self) -> Result<usize, SuiteError> {
        let of_sweep = |fault: &&serde_json::Value| fault["function"] == self.function && fault["done"] == true;
        Ok(self.witness.faults().await?.iter().filter(of_sweep).count())
    }
}
