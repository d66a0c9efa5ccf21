//! A clock that a test sets.

use std::future::pending;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use runnerless_core::time::{Millis, Timestamp};

use crate::clock::Clock;

/// Time that passes when a test says so, or when somebody waits.
#[derive(Debug)]
pub struct FakeClock {
    now: AtomicI64,
    leaps: AtomicBool,
}

impl Default for FakeClock {
    /// A leaping one that a test still sets.
    fn default() -> Self {
        Self::leaping(Timestamp(0))
    }
}

impl FakeClock {
    /// It stands at `now`: who waits on it waits for ever, so that nothing is ever late.
    #[must_use]
    pub fn at(now: Timestamp) -> Self {
        Self { now: AtomicI64::new(now.0), leaps: AtomicBool::new(false) }
    }

    /// It begins at `now`: who waits on it waits for no time, and it is so much later then.
    #[must_use]
    pub fn leaping(now: Timestamp) -> Self {
        Self { now: AtomicI64::new(now.0), leaps: AtomicBool::new(true) }
    }

    /// From now on it is `now`.
    pub fn set(&self, now: Timestamp) {
        self.now.store(now.0, Ordering::Relaxed);
    }
}

impl Clock for FakeClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.now.load(Ordering::Relaxed))
    }

    async fn pause(&self, length: Millis) {
        if !self.leaps.load(Ordering::Relaxed) {
            return pending().await;
        }
        self.now.fetch_add(length.0.max(0), Ordering::Relaxed);
    }
}
