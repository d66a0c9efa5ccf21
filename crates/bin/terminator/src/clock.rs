//! Time, as the terminator needs it: what it is, and waiting.

use std::future::Future;

use runnerless_core::time::{Millis, Timestamp};
use tokio::time::sleep;

/// A clock that can be waited on.
pub trait Clock: Sync {
    /// The time.
    fn now(&self) -> Timestamp;

    /// Ends so much later.
    fn pause(&self, length: Millis) -> impl Future<Output = ()> + Send;
}

/// The machine's.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        runnerless_lambda_kit::now()
    }

    async fn pause(&self, length: Millis) {
        sleep(std::time::Duration::from_millis(u64::try_from(length.0).unwrap_or_default())).await;
    }
}
