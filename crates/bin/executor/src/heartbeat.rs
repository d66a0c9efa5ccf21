//! The launch's signs of life while its job runs.

use std::convert::Infallible;
use std::future::pending;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use runnerless_aws::book::{Book, MoveError};
use runnerless_aws::ports::Ledger;
use runnerless_core::id::LaunchId;
use runnerless_core::time::Timestamp;
use runnerless_lambda_kit::metrics;
use serde_json::json;
use tokio::sync::watch;
use tokio::time::sleep;

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
    /// Renews from the acceptance on, the first time at once: that records the acceptance. A refusal does not
    /// stop the job: GitLab never gives an accepted job to another runner, and says itself when one is over. Nobody
    /// renews any more then. Never ends by itself.
    pub(crate) async fn beat(&self, mut accepted: watch::Receiver<bool>) -> Infallible {
        if accepted.wait_for(|accepted| *accepted).await.is_err() {
            return pending().await;
        }
        loop {
            let pause = match Book(self.ledger).renew(self.launch, (self.clock)()).await {
                Ok(()) => self.every,
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
            sleep(pause).await;
        }
    }
}
