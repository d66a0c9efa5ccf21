//! Time as a port: handlers ask for it and wait on it, and a test or a simulated world says what it is.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, SystemTime};

use runnerless_core::time::{Millis, Timestamp};

/// A clock that can be waited on.
pub trait Clock: Sync {
    /// The time, as the ledger writes it.
    fn now(&self) -> Timestamp;

    /// Ends so much later.
    fn pause(&self, length: Millis) -> impl Future<Output = ()> + Send;
}

/// The machine's.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    async fn pause(&self, length: Millis) {
        tokio::time::sleep(Duration::from_millis(u64::try_from(length.0).unwrap_or_default())).await;
    }
}

/// What `work` comes to within `length`; `None` when it takes longer, and it is then given up.
pub async fn within<T>(clock: &impl Clock, length: Millis, work: impl Future<Output = T>) -> Option<T> {
    let (mut work, mut late) = (pin!(work), pin!(clock.pause(length)));
    poll_fn(|context| match work.as_mut().poll(context) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending => late.as_mut().poll(context).map(|()| None),
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_done_in_time_counts_and_what_hangs_does_not() {
        assert_eq!(within(&SystemClock, Millis::secs(60), async { 7 }).await, Some(7));
        assert_eq!(within(&SystemClock, Millis(1), std::future::pending::<u8>()).await, None);
        assert_eq!(within(&SystemClock, Millis(0), async { 7 }).await, Some(7), "what is ready is never late");
    }
}
