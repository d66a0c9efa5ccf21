//! What wakes those that wait for something to do.

use std::collections::BTreeMap;
use std::task::Waker;

/// Who waits: a process, and which of its slots.
pub(crate) type Waits = (u32, u32);

/// Wakes all that wait.
#[derive(Debug, Default)]
pub(crate) struct Bell(BTreeMap<Waits, Waker>);

impl Bell {
    /// Is woken at the next ring.
    pub(crate) fn waits(&mut self, who: Waits, waker: Waker) {
        self.0.insert(who, waker);
    }

    /// Whether nobody waits.
    pub(crate) fn is_idle(&self) -> bool {
        self.0.is_empty()
    }

    /// Wakes all.
    pub(crate) fn ring(&mut self) {
        std::mem::take(&mut self.0).into_values().for_each(Waker::wake);
    }
}
