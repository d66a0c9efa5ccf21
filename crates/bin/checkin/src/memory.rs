//! What a process of checkin remembers of the launches that it served a moment ago.
//!
//! Within a minute an instance begins, binds its job and says that it is accepted, then that the job runs, once a minute, and
//! mostly the same process answers. What that process learned by one of these words spares the next one a read. Nothing rests
//! on it: another process, or one that has forgotten, reads.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use runnerless_aws::job_token::TokenSeal;
use runnerless_core::id::LaunchId;
use runnerless_core::launch::LaunchRow;
use runnerless_core::limits;
use runnerless_core::time::Timestamp;

/// See the module.
#[derive(Debug, Default)]
pub struct Memory {
    /// What the tokens of their jobs are sealed with, from the begin to the bind: the token that the runner asks GitLab with
    /// was read for the begin. That it is replaced in between is as if it were replaced after the bind.
    pub(crate) seals: Kept<TokenSeal>,
    /// Their rows as their last word left them, bound, until the next word, which is written on condition of the row's
    /// revision. A word comes each minute: what another process was told in between is older than what is kept.
    pub(crate) bound: Kept<LaunchRow>,
}

impl Memory {
    /// Keeps the launch as a word left it.
    pub(crate) fn left<E>(&self, left: Result<LaunchRow, E>, now: Timestamp) -> Result<LaunchRow, E> {
        left.inspect(|launch| self.bound.keep(&launch.launch, launch.clone(), now))
    }
}

/// Something of each of some launches that is wanted once, within the next words.
#[derive(Debug)]
pub(crate) struct Kept<T>(Mutex<HashMap<LaunchId, (T, Timestamp)>>);

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> Kept<T> {
    /// Keeps it until it is taken, or as long as a launch that began may bind: what is older is forgotten.
    pub(crate) fn keep(&self, launch: &LaunchId, thing: T, now: Timestamp) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|_, (_, since)| is_fresh(*since, now));
        kept.insert(launch.clone(), (thing, now));
    }

    /// Takes it, if it is still good.
    pub(crate) fn take(&self, launch: &LaunchId, now: Timestamp) -> Option<T> {
        let taken = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(launch);
        taken.filter(|(_, since)| is_fresh(*since, now)).map(|(thing, _)| thing)
    }
}

fn is_fresh(since: Timestamp, now: Timestamp) -> bool {
    now - since < limits::POLL_LEASE
}

#[cfg(test)]
mod tests {
    use super::*;
    use runnerless_core::time::Millis;

    const T0: Timestamp = Timestamp(1_789_373_730_000);

    #[test]
    fn what_is_kept_is_had_once_by_its_launch_and_forgotten_in_time() {
        let (kept, late) = (Kept::default(), T0 + limits::POLL_LEASE);
        let id = |n: u8| LaunchId::new(format!("l-{n}"));
        kept.keep(&id(1), "one", T0);
        kept.keep(&id(2), "two", T0);
        assert_eq!(kept.take(&id(3), T0), None);
        assert_eq!(kept.take(&id(1), late - Millis(1)), Some("one"));
        assert_eq!(kept.take(&id(1), T0), None, "once");
        assert_eq!(kept.take(&id(2), late), None);
        kept.keep(&id(4), "four", T0);
        kept.keep(&id(5), "five", late);
        assert_eq!(kept.0.lock().unwrap().len(), 1, "nobody came for the fourth");
    }
}
