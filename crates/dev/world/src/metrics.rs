//! What the functions of one world counted: its thread's, because a world lives on one thread.

use std::cell::RefCell;
use std::collections::BTreeMap;

/// Counts by metric.
pub(crate) type Metrics = BTreeMap<&'static str, u64>;

thread_local! {
    static COUNTED: RefCell<Metrics> = const { RefCell::new(BTreeMap::new()) };
}

/// What the metrics of all functions of this process are diverted to.
pub(crate) fn count(_service: &'static str, name: &'static str, value: u64) {
    COUNTED.with_borrow_mut(|counted| *counted.entry(name).or_default() += value);
}

/// What was counted on this thread since the last call.
pub(crate) fn take() -> Metrics {
    COUNTED.take()
}
