//! Pools in random worlds: the real decision among everything that goes wrong, in virtual time.
//!
//! A world is drawn from its seed. In its first part jobs come and things go wrong (`chaos.rs`); in its second nothing does, and
//! the pool must come down; then jobs come at once, and it must grow for them and come down again (`outcome.rs`). What must hold of
//! each decision is in `run.rs`.

mod chaos;
mod draw;
mod outcome;
mod referee;
mod run;
mod world;

use std::collections::BTreeMap;
use std::ops::Range;

use runnerless_core::pool::{Decision, Group, Memory, Pending, Scrape, Settings};
use runnerless_core::time::Timestamp;

pub use self::referee::{Broken, Hits, Promise};
use self::world::World;
use crate::pool::Fate;

/// The decision, or a bad one in its place.
pub type Decide = fn(Timestamp, &Settings, &Group, &BTreeMap<String, Scrape>, &Pending, &Memory) -> Decision;

/// What came of several worlds.
#[derive(Clone, Debug, Default)]
pub struct Lived {
    /// How many there were.
    pub worlds: u64,
    /// Their jobs.
    pub jobs: usize,
    /// Jobs that ended with their hardware, which is outside of the promise.
    pub lost: usize,
    /// What was met.
    pub hits: Hits,
    /// The first world in which a promise was broken, by its seed.
    pub broken: Option<(u64, Broken)>,
}

/// Lives through one world for each seed, until a promise is broken.
#[must_use]
pub fn live(seeds: Range<u64>, decides: Decide) -> Lived {
    let mut lived = Lived::default();
    for seed in seeds {
        let mut world = World::new(seed, decides);
        let result = world.live();
        lived.worlds += 1;
        lived.jobs += world.pool.fates.len();
        lived.lost += world.lost_jobs;
        lived.hits.add(&world.hits);
        if let Err(broken) = result {
            lived.broken = Some((seed, broken));
            break;
        }
    }
    lived
}

/// What became of each job of one world.
#[must_use]
pub fn fates(seed: u64, decides: Decide) -> Vec<Fate> {
    let mut world = World::new(seed, decides);
    // Whether a promise was broken is asked by `live`.
    let _ = world.live();
    world.pool.fates
}
