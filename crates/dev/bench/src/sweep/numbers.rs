//! The rounds in numbers, and the bars that they are held to.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::Wish;
use super::ledger::LIVE;
use super::round::{LIMIT, Sample};
use crate::statistics::Spread;

/// The most memory that the function may have, in KiB: half of what the template gives it.
const RSS_KIB: u64 = 128 * 1024;
/// Calls to AWS for a job that is launched for: job row, mapping, what was learned, counts, transaction and its count,
/// launch row, invoke, the row that it was invoked.
const CALLS_A_JOB: u64 = 14;
/// Calls that a run makes whatever is due: sixteen shards, the lanes, the mapping's, the API token.
const CALLS_A_RUN: u64 = 24;
/// Rows of one read.
const BATCH: u64 = 100;

/// A line for one kind of run.
pub(super) fn line(wish: &Wish, case: &str, samples: &[&Sample]) -> Value {
    let each = |value: fn(&Sample) -> f64| Spread::of(&samples.iter().map(|sample| value(sample)).collect::<Vec<_>>());
    let ms = each(|sample| sample.ms);
    let rss = samples.iter().map(|sample| sample.rss_kib).max().unwrap_or_default();
    let done = samples.iter().map(|sample| sample.done).min().unwrap_or_default();
    let most = samples.iter().map(|sample| sample.calls.values().sum::<u64>()).max().unwrap_or_default();
    let limit = calls_limit(wish, case);
    let runs = each(|sample| f64::from(sample.runs));
    let ok = done == wish.due
        && rss <= RSS_KIB
        && most <= limit
        && samples.iter().all(|sample| sample.ms <= LIMIT.as_secs_f64() * 1000.0 * f64::from(sample.runs));
    json!({
        "binary": "reconciler", "case": format!("sweep-{case}"), "rows": wish.rows, "due": wish.due, "live_launches": LIVE,
        "caps": "raised, so that every due job may be launched for", "rounds": samples.len(),
        "ms": ms, "rss_kib": rss, "runs": runs, "done": done,
        "calls": calls(samples), "calls_total": each(|sample| count(&sample.calls)), "calls_limit": limit, "ok": ok,
    })
}

fn count(calls: &BTreeMap<String, u64>) -> f64 {
    calls.values().map(|&calls| u32::try_from(calls).map_or(f64::INFINITY, f64::from)).sum()
}

/// The most calls that the case may need.
fn calls_limit(wish: &Wish, case: &str) -> u64 {
    let (due, live) = (u64::from(wish.due), u64::from(LIVE));
    let runs = due.div_ceil(1_000).max(1);
    let reads = due.div_ceil(BATCH) + 2 * (live + due).div_ceil(BATCH);
    let acts = if case == "act" { due * CALLS_A_JOB } else { 0 };
    runs * (CALLS_A_RUN + reads) + acts
}

/// Each operation's calls in the rounds.
fn calls(samples: &[&Sample]) -> Value {
    let names: BTreeSet<&String> = samples.iter().flat_map(|sample| sample.calls.keys()).collect();
    let of = |name: &String| {
        let values = samples.iter().map(|sample| sample.calls.get(name).copied().unwrap_or(0));
        Spread::of(&values.map(|calls| u32::try_from(calls).map_or(f64::INFINITY, f64::from)).collect::<Vec<_>>())
    };
    names.into_iter().map(|name| (name.clone(), json!(of(name)))).collect::<serde_json::Map<_, _>>().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn wish() -> Wish {
        Wish { programs: PathBuf::new(), state: PathBuf::new(), rows: 100_000, due: 500, rounds: 5 }
    }

    fn sample() -> Sample {
        let calls = BTreeMap::from([("dynamodb:Query".to_owned(), 18)]);
        Sample { ms: 900.0, rss_kib: 40_000, calls, runs: 1, done: 500 }
    }

    #[test]
    fn each_bar_holds_alone() {
        let holds = |sample: Sample| line(&wish(), "plan", &[&sample, &sample])["ok"] == true;
        assert!(holds(sample()));
        assert!(!holds(Sample { done: 499, ..sample() }), "a job was overlooked");
        assert!(!holds(Sample { rss_kib: RSS_KIB + 1, ..sample() }));
        assert!(!holds(Sample { ms: 55_001.0, ..sample() }));
        let calls = BTreeMap::from([("dynamodb:GetItem".to_owned(), 500)]);
        assert!(!holds(Sample { calls, ..sample() }), "a call for each row");
    }
}
