//! A run: many worlds, one seed each, on as many threads as there are cores.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use runnerless_core::time::Millis;
use sha2::{Digest as _, Sha256};

use crate::check::{PoolCounts, RunnerCounts, Violation};
use crate::fault::{Fault, Hits};
use crate::setup::Wish;
use crate::world::{self, Ended};

/// What is run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The seed of the seeds; of the only world, where there is one.
    pub seed: u64,
    /// How many jobs in all; `None` is as many as there is time for.
    pub jobs: Option<u64>,
    /// For how long; `None` is for as long as the jobs take.
    pub time: Option<Duration>,
    /// How many jobs one world is asked for.
    pub per_world: usize,
    /// What goes not wrong.
    pub off: Vec<Fault>,
    /// After how many worlds in which a promise is broken the run ends.
    pub most_broken: usize,
    /// On how many threads.
    pub threads: usize,
}

/// A world in which a promise was broken.
#[derive(Clone, Debug)]
pub struct Broken {
    /// Its seed.
    pub seed: u64,
    /// How many jobs it was asked for.
    pub jobs: usize,
    /// What went not wrong.
    pub off: Vec<Fault>,
    /// What was broken.
    pub violations: Vec<Violation>,
}

/// What came of a run.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Worlds.
    pub worlds: u64,
    /// Jobs in them.
    pub jobs: u64,
    /// What went wrong, how often.
    pub hits: Hits,
    /// Calls by function and operation.
    pub calls: BTreeMap<(&'static str, &'static str), u64>,
    /// What the functions counted, by metric.
    pub metrics: BTreeMap<&'static str, u64>,
    /// The longest wait by its main cause.
    pub waits: BTreeMap<&'static str, Millis>,
    /// Waits that were judged.
    pub waited: u64,
    /// What launches with runners of their own met.
    pub runners: RunnerCounts,
    /// What pools did.
    pub pool: PoolCounts,
    /// SHA-256 over the hashes of all worlds, in the order of their numbers.
    pub trace_sha256: String,
    /// Lines of all traces.
    pub lines: u64,
    /// Virtual time.
    pub lasted: Millis,
    /// The worlds in which a promise was broken.
    pub broken: Vec<Broken>,
    /// Real time.
    pub took: Duration,
}

impl Plan {
    /// How many worlds; `None` is as many as there is time for.
    fn worlds(&self) -> Option<u64> {
        self.jobs.map(|jobs| jobs.div_ceil(self.per_world.max(1) as u64).max(1))
    }

    /// The seed of a world: the run's own, where it is the only one.
    #[must_use]
    pub fn seed_of(&self, number: u64) -> u64 {
        if self.worlds() == Some(1) {
            return self.seed;
        }
        // Weyl's sequence, mixed by SplitMix64: neighbours have nothing in common.
        let mut x = self.seed.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }
}

/// Runs the worlds. Ends early once a promise is broken.
#[must_use]
pub fn run(plan: &Plan) -> Outcome {
    let began = Instant::now();
    let worlds = plan.worlds();
    let (next, broken) = (AtomicU64::new(0), AtomicUsize::new(0));
    let ended: Mutex<BTreeMap<u64, Ended>> = Mutex::default();
    let works = || {
        while broken.load(Ordering::Relaxed) < plan.most_broken && plan.time.is_none_or(|time| began.elapsed() < time) {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if worlds.is_some_and(|worlds| number >= worlds) {
                return;
            }
            let seed = plan.seed_of(number);
            let wish = Wish { seed, jobs: plan.per_world, off: plan.off.clone(), keeps: false };
            let world = world::run(&wish);
            if !world.verdict.violations.is_empty() {
                broken.fetch_add(1, Ordering::Relaxed);
            }
            ended.lock().unwrap_or_else(PoisonError::into_inner).insert(number, world);
        }
    };
    thread::scope(|scope| {
        for _ in 1..plan.threads.max(1) {
            scope.spawn(works);
        }
        works();
    });
    let ended = ended.into_inner().unwrap_or_else(PoisonError::into_inner);
    Outcome { took: began.elapsed(), ..sum(plan, ended) }
}

fn sum(plan: &Plan, ended: BTreeMap<u64, Ended>) -> Outcome {
    let mut outcome = Outcome::default();
    let mut hash = Sha256::new();
    for (number, world) in ended {
        outcome.worlds += 1;
        outcome.jobs += world.jobs as u64;
        outcome.hits.add_all(&world.hits);
        outcome.lines += world.lines;
        outcome.lasted = Millis(outcome.lasted.0 + world.lasted.0);
        outcome.waited += world.verdict.waited;
        outcome.runners.add(&world.verdict.runners);
        outcome.pool.add(&world.verdict.pool);
        hash.update(world.hash);
        for (call, calls) in world.calls {
            *outcome.calls.entry(call).or_default() += calls;
        }
        for (name, count) in world.metrics {
            *outcome.metrics.entry(name).or_default() += count;
        }
        for (cause, wait) in world.verdict.waits {
            let longest = outcome.waits.entry(cause).or_default();
            *longest = wait.max(*longest);
        }
        if !world.verdict.violations.is_empty() {
            let (seed, off) = (plan.seed_of(number), plan.off.clone());
            outcome.broken.push(Broken { seed, jobs: plan.per_world, off, violations: world.verdict.violations });
        }
    }
    outcome.trace_sha256 = hex::encode(hash.finalize());
    outcome
}
