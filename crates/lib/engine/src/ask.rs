//! Asking GitLab for a job: at once, then with growing pauses, until the wait is over.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::time::Duration;

use runnerless_gitlab::protocol::{Assignment, Client, RequestError, Requested, Secret};
use tokio::time::{Instant, sleep_until};

use crate::stop::Stop;
use runnerless_core::chain::chain;

/// When to ask, in seconds after the start. A job that a launch was made for is nearly always there at the first ask;
/// the later ones are for a GitLab whose replicas lag.
const SCHEDULE_SECS: [u64; 5] = [0, 1, 3, 7, 15];
/// Pause between asks after the schedule, for callers that wait longer.
const LATER: Duration = Duration::from_secs(10);
/// Asks are moved by up to this part of the pause before them, so that runners that start together do not ask together.
const JITTER: f64 = 0.2;

/// What asking led to.
#[derive(Debug)]
pub(crate) enum Asked {
    /// A job, and when its 201 arrived.
    Job(Box<Assignment>, Instant),
    /// GitLab had none for us until the wait was over.
    Nothing,
    /// The token is not valid.
    Refused(String),
    /// No usable answer until the wait was over, or one that cannot get better.
    Unreachable(String),
    /// Told to end.
    Stopped,
}

/// Asks until one of the ends above. A request that is under way is always finished: its answer may carry a job.
pub(crate) async fn ask(
    client: &Client,
    token: &Secret,
    system_id: Option<&str>,
    wait: Duration,
    stop: &mut Stop,
) -> Asked {
    let began = Instant::now();
    let mut trouble = None;
    let mut not_before = began;
    for offset in offsets() {
        // The first ask is sent in any case: a wait of nothing is one ask.
        let now = if offset.is_zero() { began } else { Instant::now() };
        let Some(at) = next_ask(began + offset, not_before, now, began + wait) else { break };
        // The clock of the runtime has milliseconds: a sleep until now would last one.
        if at > now {
            tokio::select! {
                () = sleep_until(at) => {}
                () = stop.asked() => return Asked::Stopped,
            }
        } else if stop.is_asked() {
            return Asked::Stopped;
        }
        match client.request_job(token, system_id).await {
            Ok(Requested::Job(job)) => return Asked::Job(job, Instant::now()),
            Ok(Requested::Nothing) | Err(RequestError::Conflict) => trouble = None,
            Err(RequestError::TokenRefused(refusal)) => return Asked::Refused(refusal.to_string()),
            Err(error @ (RequestError::Refused(_) | RequestError::Unreadable(_))) => {
                return Asked::Unreachable(chain(&error));
            }
            Err(error) => {
                if let RequestError::Later(refusal) = &error {
                    not_before = Instant::now() + refusal.retry_after.unwrap_or_default();
                }
                trouble = Some(chain(&error));
            }
        }
        if stop.is_asked() {
            return Asked::Stopped;
        }
    }
    trouble.map_or(Asked::Nothing, Asked::Unreachable)
}

/// When the next ask is sent: at its time, but not before GitLab wants it, nor in the past. `None` when that is after the
/// end of the wait: who relies on the wait closes the launch some time later, and must not meet an ask.
fn next_ask(scheduled: Instant, not_before: Instant, now: Instant, end: Instant) -> Option<Instant> {
    Some(scheduled.max(not_before).max(now)).filter(|at| *at <= end)
}

/// When to ask, after the start.
fn offsets() -> impl Iterator<Item = Duration> {
    let mut last = 0;
    let scheduled = SCHEDULE_SECS.into_iter().map(move |secs| {
        let pause = Duration::from_secs(secs - last);
        last = secs;
        Duration::from_secs(secs) + pause.mul_f64(JITTER * random_part())
    });
    let end = Duration::from_secs(SCHEDULE_SECS[SCHEDULE_SECS.len() - 1]);
    let later = (1..).map(move |n| end + LATER * n + LATER.mul_f64(JITTER * random_part()));
    scheduled.chain(later)
}

/// A number from 0 to 1. The standard library's hash keys are random per process and call: enough to spread asks.
fn random_part() -> f64 {
    let bits = RandomState::new().build_hasher().finish() >> 40;
    // 24 bits fit into a float without loss.
    f64::from(u32::try_from(bits).unwrap_or_default()) / f64::from(1 << 24)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_asked_after_the_wait_however_long_an_answer_took() {
        let began = Instant::now();
        let at = |secs| began + Duration::from_secs(secs);
        assert_eq!(next_ask(at(3), began, at(1), at(20)), Some(at(3)));
        assert_eq!(next_ask(at(3), at(9), at(1), at(20)), Some(at(9)), "GitLab asked for a pause");
        assert_eq!(
            next_ask(at(3), began, at(12), at(20)),
            Some(at(12)),
            "the answer before took nine seconds too long"
        );
        assert_eq!(next_ask(at(3), began, at(31), at(20)), None, "and here it took the whole wait");
        assert_eq!(next_ask(at(25), began, at(16), at(20)), None);
        assert_eq!(next_ask(began, began, began, began), Some(began), "a wait of nothing is one ask");
    }

    #[test]
    fn asks_keep_to_the_schedule_and_never_crowd() {
        let asks: Vec<f64> = offsets().take(8).map(|at| at.as_secs_f64()).collect();
        for (ask, (from, to)) in
            asks.iter().zip([(0.0, 0.0), (1.0, 1.2), (3.0, 3.4), (7.0, 7.8), (15.0, 16.6), (25.0, 27.0)])
        {
            assert!((from..=to).contains(ask), "{asks:?}");
        }
        assert!(asks.windows(2).all(|pair| pair[0] < pair[1]), "{asks:?}");
    }
}
