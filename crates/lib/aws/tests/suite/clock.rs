//! What every clock does that can be waited on.
//!
//! A `FakeClock::at` stands still: who waits on it waits for ever, which no clock of a machine does. It is for tests in which
//! nothing may be late, and only the time that it shows is held to the suite.

use runnerless_aws::clock::{Clock, within};
use runnerless_core::time::{Millis, Timestamp};

/// Runs the suite on a clock on which time passes.
pub async fn all(clock: &impl Clock) {
    never_before(clock).await;
    for length in [Millis(0), Millis(3), Millis(-5)] {
        let before = clock.now();
        clock.pause(length).await;
        assert!(clock.now() >= before + Millis(length.0.max(0)), "a pause ends when it is over, and not earlier");
    }
    assert_eq!(within(clock, Millis::minutes(1), async { 7 }).await, Some(7));
    assert_eq!(within(clock, Millis(1), std::future::pending::<u8>()).await, None);
}

/// Time is milliseconds of the epoch, as the ledger writes them, and does not go back.
pub async fn never_before(clock: &impl Clock) {
    // 2024; a clock that counts seconds, or since its own start, is before it.
    let first = clock.now();
    assert!(first > Timestamp(1_704_067_200_000), "{first:?}");
    assert!(clock.now() >= first);
}
