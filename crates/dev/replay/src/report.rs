//! What a replay says: a line for each scaler, and a table for people.

use std::fmt::Write as _;

use runnerless_core::time::Millis;
use serde_json::{Value, json};

use crate::replay::Outcome;
use crate::worlds::Lived;

/// A scaler's line.
#[must_use]
pub fn line(trace: &str, outcome: &Outcome) -> Value {
    json!({
        "v": 1, "kind": "replay", "trace": trace, "scaler": outcome.rival.name(), "jobs": outcome.jobs,
        "killed": outcome.killed, "unfinished": outcome.unfinished,
        "queue_s": {
            "p50": seconds(outcome.wait(50)), "p95": seconds(outcome.wait(95)), "max": seconds(outcome.wait(100)),
        },
        "instance_hours": (outcome.hours() * 100.0).round() / 100.0, "most_members": outcome.most,
        "ok": outcome.is_fine(),
    })
}

/// The last line.
#[must_use]
pub fn summary(outcomes: &[Outcome], took: std::time::Duration) -> Value {
    let failed = outcomes.iter().filter(|outcome| !outcome.is_fine()).count();
    json!({
        "v": 1, "kind": "summary", "target": "replay", "passed": outcomes.len() - failed, "failed": failed,
        "skipped": 0, "seconds": took.as_secs(), "ok": failed == 0,
    })
}

/// The line of several worlds.
#[must_use]
pub fn worlds_line(seed: u64, lived: &Lived, took: std::time::Duration) -> Value {
    let broken = lived.broken.as_ref().map(|(seed, broken)| {
        json!({"seed": format!("{seed:#x}"), "promise": format!("{:?}", broken.promise), "what": broken.what})
    });
    json!({
        "v": 1, "kind": "pool-worlds", "seed": format!("{seed:#x}"), "worlds": lived.worlds, "jobs": lived.jobs,
        "lost_with_hardware": lived.lost, "met": lived.hits.by_name(), "broken": broken, "seconds": took.as_secs(),
        "ok": lived.broken.is_none(),
    })
}

/// One trace's table.
#[must_use]
pub fn table(trace: &str, outcomes: &[Outcome]) -> String {
    let jobs = outcomes.first().map_or(0, |outcome| outcome.jobs);
    let mut text = format!("{trace}: {jobs} jobs\n");
    let _ = writeln!(
        text,
        "  {:<22}{:>10}{:>10}{:>10}{:>8}{:>9}{:>9}",
        "", "queue p50", "p95", "longest", "hours", "members", "killed"
    );
    for outcome in outcomes {
        let wait = |percent| format!("{:.0} s", seconds(outcome.wait(percent)));
        let _ = writeln!(
            text,
            "  {:<22}{:>10}{:>10}{:>10}{:>8.1}{:>9}{:>9}{}",
            outcome.rival.name(),
            wait(50),
            wait(95),
            wait(100),
            outcome.hours(),
            outcome.most,
            outcome.killed,
            if outcome.unfinished > 0 { "  jobs are left" } else { "" }
        );
    }
    text
}

/// To a tenth.
fn seconds(time: Millis) -> f64 {
    // Exact: waits are far below what a float has integers for.
    (time.0 as f64 / 100.0).round() / 10.0
}
