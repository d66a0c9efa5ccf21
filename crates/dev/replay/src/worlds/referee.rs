//! What must hold, and what was met.

use std::collections::BTreeMap;

/// A promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promise {
    /// Only what tells that it is idle is ended.
    NothingBusyIsEnded,
    /// A job whose member is ended by the group runs to its end.
    JobsFinish,
    /// Neither limit is passed.
    Limits,
    /// Desired capacity is never lowered but by who leaves.
    NeverLowered,
    /// A run that does nothing says why, and once.
    Reasons,
    /// Of two runs that read the same row one acts.
    OneDecides,
    /// Jobs that wait get members.
    Grows,
    /// Members that nobody needs go.
    ComesDown,
}

/// How often each thing was met.
#[derive(Clone, Debug, Default)]
pub struct Hits(BTreeMap<&'static str, u64>);

impl Hits {
    pub(crate) fn hit(&mut self, name: &'static str) {
        *self.0.entry(name).or_default() += 1;
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (name, count) in &other.0 {
            *self.0.entry(name).or_default() += count;
        }
    }

    /// By their names.
    #[must_use]
    pub fn by_name(&self) -> BTreeMap<&'static str, u64> {
        self.0.clone()
    }
}

/// A broken promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Which.
    pub promise: Promise,
    /// How it showed.
    pub what: String,
}
