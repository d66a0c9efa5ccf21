//! What the witness and the instances' driver tell each other. On AWS both are EC2.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use tokio::sync::{MutexGuard, Notify};

/// What is known of instances and is not in the emulator.
#[derive(Debug, Default)]
pub struct Register {
    hidden: Mutex<HashSet<String>>,
    warned: Mutex<HashMap<String, Timestamp>>,
    targets: Mutex<HashMap<String, &'static str>>,
    changed: Notify,
    reading: tokio::sync::Mutex<()>,
}

impl Register {
    /// The instance's metadata is switched off, or on again.
    pub fn hide(&self, instance: &str, hidden: bool) {
        let mut all = self.hidden.lock().unwrap_or_else(PoisonError::into_inner);
        if hidden {
            all.insert(instance.to_owned());
        } else {
            all.remove(instance);
        }
    }

    /// Whether the instance's metadata is switched off.
    #[must_use]
    pub fn is_hidden(&self, instance: &str) -> bool {
        self.hidden.lock().unwrap_or_else(PoisonError::into_inner).contains(instance)
    }

    /// A spot instance will be taken away at that time.
    pub fn warn(&self, instance: &str, at: Timestamp) {
        self.warned.lock().unwrap_or_else(PoisonError::into_inner).insert(instance.to_owned(), at);
    }

    /// When the instance will be taken away, if it was warned.
    #[must_use]
    pub fn warned(&self, instance: &str) -> Option<Timestamp> {
        self.warned.lock().unwrap_or_else(PoisonError::into_inner).get(instance).copied()
    }

    /// While this is held the driver reads no instances: it reads their tags once, and these are not yet what they are to be.
    pub async fn unread(&self) -> MutexGuard<'_, ()> {
        self.reading.lock().await
    }

    /// A group has its member on the way to this state.
    pub fn head(&self, instance: &str, target: &'static str) {
        self.targets.lock().unwrap_or_else(PoisonError::into_inner).insert(instance.to_owned(), target);
    }

    /// Where an instance is on its way to, if a group has it.
    #[must_use]
    pub fn target(&self, instance: &str) -> Option<&'static str> {
        self.targets.lock().unwrap_or_else(PoisonError::into_inner).get(instance).copied()
    }

    /// Instances came or went.
    pub fn nudge(&self) {
        self.changed.notify_one();
    }

    /// Returns when instances came or went since the last time.
    pub async fn nudged(&self) {
        self.changed.notified().await;
    }
}
