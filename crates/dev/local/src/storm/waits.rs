//! How long jobs waited for a runner, and why.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// Why a job may have waited; the first that applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Cause {
    /// GitLab's word that it waits was lost.
    HookLost,
    /// It came late.
    HookLate,
    /// The bus did not take the event.
    EventRefused,
    /// A cap held its launch back.
    Held,
    /// Its first launch found nothing, or took another job.
    LaunchTaken,
    /// Nothing disturbed it.
    Undisturbed,
}

impl Cause {
    const fn name(self) -> &'static str {
        match self {
            Self::HookLost => "hook_lost",
            Self::HookLate => "hook_late",
            Self::EventRefused => "event_refused",
            Self::Held => "held_by_cap",
            Self::LaunchTaken => "launch_taken",
            Self::Undisturbed => "undisturbed",
        }
    }
}

/// Which launch ran a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Server {
    /// One that was charged to it.
    Own,
    /// One that was charged to another job.
    Others,
    /// A sentinel.
    Sentinel,
}

impl Server {
    const fn name(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Others => "others",
            Self::Sentinel => "sentinel",
        }
    }
}

/// One job's wait.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wait {
    pub(super) cause: Cause,
    pub(super) server: Server,
    /// From `pending` until a runner got it.
    pub(super) ms: i64,
}

/// Number, median, 95th percentile and longest of the waits, all of them and by cause, and who served those of each cause.
pub(super) fn view(waits: &[Wait]) -> Value {
    let mut by_cause: BTreeMap<Cause, Vec<&Wait>> = BTreeMap::new();
    for wait in waits {
        by_cause.entry(wait.cause).or_default().push(wait);
    }
    let mut view = json!({"all": summed(&waits.iter().collect::<Vec<_>>())});
    for (cause, waits) in by_cause {
        view[cause.name()] = summed(&waits);
    }
    view
}

fn summed(waits: &[&Wait]) -> Value {
    let mut ms: Vec<i64> = waits.iter().map(|wait| wait.ms).collect();
    ms.sort_unstable();
    let mut served: BTreeMap<&str, usize> = BTreeMap::new();
    for wait in waits {
        *served.entry(wait.server.name()).or_default() += 1;
    }
    json!({
        "n": ms.len(), "p50_ms": percentile(&ms, 50), "p95_ms": percentile(&ms, 95), "max_ms": ms.last(),
        "served_by": served,
    })
}

/// The nearest rank of sorted values; `None` of none.
pub(super) fn percentile(sorted: &[i64], percent: usize) -> Option<i64> {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_summed_up_by_cause() {
        let wait = |cause, ms| Wait { cause, server: Server::Own, ms };
        let view = view(&[
            wait(Cause::Undisturbed, 3),
            wait(Cause::HookLost, 100),
            wait(Cause::Undisturbed, 1),
            wait(Cause::Undisturbed, 2),
        ]);
        assert_eq!(view["all"]["n"], 4);
        assert_eq!(
            view["undisturbed"],
            json!({"n": 3, "p50_ms": 2, "p95_ms": 3, "max_ms": 3, "served_by": {"own": 3}})
        );
        assert_eq!(view["hook_lost"]["max_ms"], 100);
        assert!(view.get("held_by_cap").is_none());
    }

    #[test]
    fn a_percentile_is_a_value_that_was_seen() {
        let hundred: Vec<i64> = (1..=100).collect();
        assert_eq!([50, 95, 100].map(|percent| percentile(&hundred, percent)), [Some(50), Some(95), Some(100)]);
        assert_eq!((percentile(&[7], 50), percentile(&[], 95)), (Some(7), None));
    }
}
