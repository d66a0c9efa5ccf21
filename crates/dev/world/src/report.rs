//! A run as one JSON line, and whether it says anything.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Value, json};

use crate::check::{PoolCounts, Promise, RunnerCounts};
use crate::fault::Fault;
use crate::run::{Outcome, Plan};

/// A run of so many jobs must meet each kind of trouble once in so many.
const ONE_HIT_IN: u64 = 4_000;
/// A run of fewer jobs is not judged by what it met.
const ENOUGH_JOBS: u64 = 40_000;

/// A run whose worlds met too little trouble to say anything about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("vacuous: {jobs} jobs met {name} {hits} times, {least} are the least; raise its rate or its chances")]
pub struct Vacuous {
    /// The run's jobs.
    pub jobs: u64,
    /// The trouble.
    pub name: &'static str,
    /// How often it was met.
    pub hits: u64,
    /// How often it must be.
    pub least: u64,
}

impl Outcome {
    /// The kinds of trouble that were met too rarely.
    #[must_use]
    pub fn vacuous(&self, plan: &Plan) -> Vec<Vacuous> {
        if self.jobs < ENOUGH_JOBS {
            return Vec::new();
        }
        let least = self.jobs / ONE_HIT_IN;
        let kinds = Fault::ALL.iter().filter(|fault| !plan.off.contains(fault));
        let kinds = kinds.map(|fault| (fault.name(), self.hits.of(*fault)));
        // Where no member is let go, and none that has jobs is named by others, nothing is shown of how members leave.
        let of_pools = [("members let go", self.pool.let_go), ("busy members named by others", self.pool.named_busy)];
        // And where no runner is made for a launch, or none is left that cannot be deleted, of what becomes of those.
        let of_runners = [("runners made for launches", self.runners.told), ("such runners left", self.runners.left)];
        let met =
            kinds.chain(of_pools).chain(of_runners).map(|(name, hits)| Vacuous { jobs: self.jobs, name, hits, least });
        met.filter(|met| met.hits < met.least).collect()
    }

    /// Whether all promises were kept, and that says something.
    #[must_use]
    pub fn is_fine(&self, plan: &Plan) -> bool {
        self.broken.is_empty() && self.vacuous(plan).is_empty()
    }

    /// Worlds in which this was broken.
    fn broke(&self, promise: Promise) -> usize {
        let breaks = |broken: &&crate::Broken| broken.violations.iter().any(|violation| violation.promise == promise);
        self.broken.iter().filter(breaks).count()
    }

    /// What launches with runners of their own met.
    fn own_runners(&self) -> Value {
        let RunnerCounts { worlds, asked, told, left } = self.runners;
        json!({"worlds": worlds, "asked_for": asked, "told": told, "left": left})
    }

    /// What pools did.
    fn pools(&self) -> Value {
        let PoolCounts { pools, jobs, grown, let_go, raced, named_busy, lost, waited, longest } = self.pool;
        json!({
            "worlds": pools, "jobs": jobs, "grown": grown, "let_go": let_go, "took_a_job_as_they_went": raced,
            "busy_named_by_others": named_busy, "jobs_lost_with_hardware": lost,
            "waits": waited, "longest_untroubled_wait_ms": longest.0,
        })
    }

    /// The line `world`.
    #[must_use]
    pub fn line(&self, plan: &Plan) -> Value {
        let seconds = self.took.as_secs_f64();
        let per_job = |calls: u64| rounded(calls as f64 / self.jobs.max(1) as f64);
        let mut calls: BTreeMap<&str, u64> = BTreeMap::new();
        for ((function, _), made) in &self.calls {
            *calls.entry(function).or_default() += made;
        }
        let calls: BTreeMap<&str, f64> = calls.into_iter().map(|(function, made)| (function, per_job(made))).collect();
        let broken = self.broken.iter().flat_map(|broken| {
            broken.violations.iter().map(|violation| {
                json!({"seed": Seed(broken.seed).to_string(), "promise": format!("{:?}", violation.promise), "what": violation.what})
            })
        });
        let vacuous = self.vacuous(plan);
        json!({
            "v": 1, "kind": "world", "seed": Seed(plan.seed).to_string(), "jobs": self.jobs, "worlds": self.worlds,
            "faults": self.hits.by_name(),
            "lost": self.broke(Promise::Lost), "doubled": self.broke(Promise::Doubled) + self.broke(Promise::TwoLaunches),
            "leaked": self.broke(Promise::Leaked), "killed": self.broke(Promise::Killed),
            "records_left": self.broke(Promise::RecordsLeft),
            "runners_left": self.broke(Promise::RunnersLeft), "instances_left": self.broke(Promise::InstancesLeft),
            "broken": broken.collect::<Vec<_>>(),
            "vacuous": vacuous.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "trace_sha256": self.trace_sha256, "seconds": rounded(seconds),
            "jobs_per_second": rounded(self.jobs as f64 / seconds.max(0.001)),
            "virtual_hours": self.lasted.0 / 3_600_000,
            "longest_wait_ms": self.waits.iter().map(|(cause, wait)| (*cause, wait.0)).collect::<BTreeMap<_, _>>(),
            "waits": self.waited, "own_runners": self.own_runners(),
            "pools": self.pools(),
            "calls_per_job": calls, "metrics": self.metrics,
            "ok": self.is_fine(plan),
        })
    }
}

fn rounded(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}

/// A seed as the command line takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed(pub u64);

impl fmt::Display for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}
