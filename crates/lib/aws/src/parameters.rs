//! Secrets, read with one call and kept for a while.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use runnerless_core::chain::chain;
use runnerless_core::time::{Millis, Timestamp};
use zeroize::Zeroizing;

use crate::clock::{Clock, within};
use crate::error::{AwsError, Service};
use crate::ports::Parameters;

/// How long values are used before they are read again: a rotated secret is known everywhere this much later, and both
/// the old and the new one are valid meanwhile (`...Previous`).
const FRESH: Millis = Millis::minutes(5);
/// Least time between two readings that were asked for because a secret did not fit: strangers with wrong secrets must
/// not make us read Parameter Store (40 calls a second for a whole account) for each of their requests.
const BETWEEN_REFRESHES: Millis = Millis::secs(10);

/// How long a reading may take while there are old values to go on with: their users have seconds, and an attempt of a call
/// to a store that hangs takes three.
const PATIENCE_WITH_OLD: Millis = Millis::secs(1);

/// The parameters below one path. Clones share them: no call makes a copy of the secrets.
#[derive(Clone, Default)]
pub struct Branch {
    values: Arc<HashMap<String, Zeroizing<String>>>,
    read_at: Timestamp,
}

impl fmt::Debug for Branch {
    /// The names: the values are secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.names().collect();
        f.debug_struct("Branch").field("names", &names).field("read_at", &self.read_at).finish()
    }
}

impl Branch {
    /// The value, without the white space that editors and `echo` leave around it; `None` when absent or empty.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    /// The names below the path.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }
}

/// Reads one path through a port and remembers it.
#[derive(Debug)]
pub struct ParameterCache {
    path: String,
    held: Mutex<Option<Branch>>,
}

impl ParameterCache {
    /// For the parameters below `path`.
    #[must_use]
    pub fn new(path: impl Into<String>) -> Self {
        Self { path: path.into(), held: Mutex::new(None) }
    }

    /// The values, read again when they are old. When that fails the old ones serve on.
    ///
    /// # Errors
    /// They were never read.
    pub async fn get(&self, port: &impl Parameters, clock: &impl Clock) -> Result<Branch, AwsError> {
        match self.held() {
            Some(branch) if clock.now() - branch.read_at < FRESH => Ok(branch),
            held => self.read(port, held, clock).await,
        }
    }

    /// The values, read again because they did not fit: at most once in [`BETWEEN_REFRESHES`], else as they are held.
    ///
    /// # Errors
    /// They were never read.
    pub async fn refreshed(&self, port: &impl Parameters, clock: &impl Clock) -> Result<Branch, AwsError> {
        match self.held() {
            Some(branch) if clock.now() - branch.read_at < BETWEEN_REFRESHES => Ok(branch),
            held => self.read(port, held, clock).await,
        }
    }

    async fn read(&self, port: &impl Parameters, held: Option<Branch>, clock: &impl Clock) -> Result<Branch, AwsError> {
        let now = clock.now();
        let reading = port.below(&self.path);
        let read = match &held {
            None => reading.await,
            Some(_) => within(clock, PATIENCE_WITH_OLD, reading).await.unwrap_or_else(|| Err(late())),
        };
        let branch = match (read, held) {
            (Ok(values), _) => Branch { values: Arc::new(values), read_at: now },
            // Old secrets are better than none. They count as read now, so that a failing store is not asked each time.
            (Err(error), Some(old)) => {
                tracing::warn!(target: "runnerless", error = chain(&error), path = self.path, "old secrets are used on");
                Branch { read_at: now, ..old }
            }
            (Err(error), None) => return Err(error),
        };
        if let Ok(mut slot) = self.held.lock() {
            *slot = Some(branch.clone());
        }
        Ok(branch)
    }

    fn held(&self) -> Option<Branch> {
        self.held.lock().ok().and_then(|slot| slot.clone())
    }
}

fn late() -> AwsError {
    let source = format!("no answer within {} ms", PATIENCE_WITH_OLD.0).into();
    AwsError::Unavailable { service: Service::Parameters, operation: "GetParametersByPath", source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::{FakeClock, FakeParameters};

    /// A store that hangs.
    struct Silent;

    impl Parameters for Silent {
        async fn below(&self, _: &str) -> Result<HashMap<String, Zeroizing<String>>, AwsError> {
            std::future::pending().await
        }
    }

    const T0: Timestamp = Timestamp(1_000_000);

    fn after(length: Millis) -> FakeClock {
        FakeClock::leaping(T0 + length)
    }

    #[tokio::test]
    async fn values_are_read_once_and_again_when_old() {
        let store = FakeParameters::default();
        store.put("/r/ingress/SecretToken", "one\n");
        let cache = ParameterCache::new("/r/ingress");
        assert_eq!(cache.get(&store, &after(Millis(0))).await.unwrap().get("SecretToken"), Some("one"));
        store.put("/r/ingress/SecretToken", "two");
        let early = cache.get(&store, &after(FRESH - Millis(1))).await.unwrap();
        assert_eq!(early.get("SecretToken"), Some("one"));
        assert_eq!(cache.get(&store, &after(FRESH)).await.unwrap().get("SecretToken"), Some("two"));
        assert_eq!(store.reads(), 2);
    }

    #[tokio::test]
    async fn a_store_that_fails_leaves_the_old_values_and_is_not_asked_each_time() {
        let store = FakeParameters::default();
        let cache = ParameterCache::new("/r/ingress");
        store.fail(true);
        assert!(cache.get(&store, &after(Millis(0))).await.is_err(), "nothing was ever read");
        store.fail(false);
        store.put("/r/ingress/SecretToken", "one");
        assert!(cache.get(&store, &after(Millis(0))).await.is_ok());
        store.fail(true);
        let reads = store.reads();
        for _ in 0..3 {
            assert_eq!(cache.get(&store, &after(FRESH)).await.unwrap().get("SecretToken"), Some("one"));
        }
        assert_eq!(store.reads(), reads + 1);
    }

    #[tokio::test]
    async fn a_store_that_hangs_is_not_waited_for_while_there_are_old_values() {
        let store = FakeParameters::default();
        store.put("/r/ingress/SecretToken", "one");
        let cache = ParameterCache::new("/r/ingress");
        cache.get(&store, &after(Millis(0))).await.unwrap();
        assert_eq!(cache.get(&Silent, &after(FRESH)).await.unwrap().get("SecretToken"), Some("one"));
        let again = cache.get(&Silent, &after(Millis(FRESH.0 + 1))).await.unwrap();
        assert_eq!(again.get("SecretToken"), Some("one"), "and not asked each time");
    }

    #[tokio::test]
    async fn printing_what_is_held_shows_no_secret() {
        let store = FakeParameters::default();
        store.put("/r/ingress/SecretToken", "very-secret");
        let cache = ParameterCache::new("/r/ingress");
        let branch = cache.get(&store, &after(Millis(0))).await.unwrap();
        let printed = format!("{branch:?} {cache:?}");
        assert!(printed.contains("SecretToken") && !printed.contains("very-secret"), "{printed}");
    }

    #[tokio::test]
    async fn strangers_cannot_make_us_read_for_each_request() {
        let store = FakeParameters::default();
        store.put("/r/ingress/SecretToken", "one");
        let cache = ParameterCache::new("/r/ingress");
        cache.get(&store, &after(Millis(0))).await.unwrap();
        for _ in 0..5 {
            cache.refreshed(&store, &after(BETWEEN_REFRESHES - Millis(1))).await.unwrap();
        }
        assert_eq!(store.reads(), 1);
        cache.refreshed(&store, &after(BETWEEN_REFRESHES)).await.unwrap();
        assert_eq!(store.reads(), 2);
    }
}
