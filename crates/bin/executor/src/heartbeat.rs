//! The launch's signs of life while its job runs.

use std::convert::Infallible;
use std::future::pending;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use runnerless_aws::book::{Book, MoveError};
use runnerless_aws::ports::Ledger;
use runnerless_core::id::LaunchId;
use runnerless_core::launch::LaunchRow;
use runnerless_core::time::Timestamp;
use runnerless_lambda_kit::metrics;
use serde_json::json;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use runnerless_core::chain::chain;

/// How soon a renewal that did not reach the ledger is repeated, as a part of the usual pause: a lease lasts three
/// pauses, and several tries must fit into what is left of it.
const RETRY_PART: u32 = 6;

/// Renews one launch's lease.
#[derive(Debug)]
pub(crate) struct Heartbeat<'a, L> {
    pub(crate) ledger: &'a L,
    pub(crate) launch: &'a LaunchId,
    pub(crate) clock: fn() -> Timestamp,
    /// The pause between two renewals.
    pub(crate) every: Duration,
    /// Set when the ledger says that the launch is not ours any more.
    pub(crate) lost: AtomicBool,
}

impl<L: Ledger> Heartbeat<'_, L> {
    /// Gives a sign of life from the binding on. GitLab's answer to the acceptance may take a minute, in which somebody who
    /// heard that an invocation of this launch failed must see that this one lives; usually it comes before the first pause
    /// is over. From the acceptance on it renews, the first time at once: that records the acceptance. A refusal does not
    /// stop the job: GitLab never gives an accepted job to another runner, and says itself when one is over. Nobody
    /// renews any more then. Never ends by itself.
    pub(crate) async fn beat(&self, mut stage: watch::Receiver<Stage>) -> Infallible {
        let mut pause = self.every;
        // As the last sign of life left it: only who is taken for lost, or stopped, finds another.
        let mut kept: Option<LaunchRow> = None;
        loop {
            let at = *stage.borrow_and_update();
            let book = Book(self.ledger);
            let told = match at {
                Stage::Unbound if stage.changed().await.is_err() => return pending().await,
                Stage::Unbound => continue,
                Stage::Bound if timeout(pause, stage.changed()).await.is_ok() => continue,
                Stage::Bound => book.alive_from(self.launch, kept.take(), (self.clock)()).await,
                Stage::Accepted => book.renew_from(self.launch, kept.take(), (self.clock)()).await,
            };
            pause = match told {
                Ok(launch) => {
                    kept = Some(launch);
                    self.every
                }
                Err(MoveError::Ledger(error)) => {
                    let (launch, error) = (self.launch.as_str(), chain(&error));
                    tracing::warn!(target: "runnerless", service = "executor", "launch.id" = launch, error, "the launch was not renewed");
                    self.every / RETRY_PART
                }
                Err(refused @ (MoveError::Refused(_) | MoveError::NoLaunch(_))) => {
                    let (launch, reason) = (self.launch.as_str(), chain(&refused));
                    tracing::error!(target: "runnerless", service = "executor", "launch.id" = launch, reason, "the launch counts as lost, and its job goes on");
                    metrics::count("executor", "RenewalsRefused", 1, &json!({"launch.id": launch}));
                    self.lost.store(true, Ordering::Relaxed);
                    return pending().await;
                }
            };
            if at == Stage::Accepted {
                sleep(pause).await;
            }
        }
    }
}

/// How far the runner is with its job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// It has none, or gave it back.
    Unbound,
    /// It has one that GitLab has not said to be accepted.
    Bound,
    /// It runs one.
    Accepted,
}
