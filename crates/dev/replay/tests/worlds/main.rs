//! Pools in random worlds: the real decision among everything that goes wrong, in virtual time.
//!
//! A world is drawn from its seed. In its first part jobs come and things go wrong; in its second nothing does, and the pool
//! must come down; then jobs come at once, and it must grow for them and come down again. What must hold is in `referee.rs`.

#![allow(clippy::unwrap_used, reason = "a test fails where something is not as it should be")]

mod bad;
mod chaos;
mod referee;
mod world;

use std::collections::BTreeMap;

use referee::Hits;
use runnerless_core::pool::decide;
use world::{Broken, Decide, World};

/// The seeds of each run of the tests.
const SEEDS: std::ops::Range<u64> = 0x5eed_0800..0x5eed_0800 + 400;

/// Runs each world; the first that broke a promise, and what was met on the way.
fn run(seeds: std::ops::Range<u64>, decides: Decide) -> (Option<(u64, Broken)>, Hits) {
    let mut hits = Hits::default();
    for seed in seeds {
        let mut world = World::new(seed, decides);
        let result = world.live();
        hits.add(&world.hits);
        if let Err(broken) = result {
            return (Some((seed, broken)), hits);
        }
    }
    (None, hits)
}

#[test]
fn nothing_busy_is_ended_and_every_pool_grows_and_comes_down() {
    let (broken, hits) = run(SEEDS, decide);
    assert_eq!(broken, None);
    let hits: BTreeMap<&str, u64> = hits.by_name();
    for (name, least) in [
        ("grown", 1_000),
        ("retired", 1_000),
        ("held", 10_000),
        ("took a job after its last scrape", 5),
        ("scrape timed out", 1_000),
        ("half unreachable", 100),
        ("metrics of the past", 500),
        ("metrics of the future", 500),
        ("counter reset", 100),
        ("desired capacity by hand", 100),
        ("limits by hand", 100),
        ("protection lost by hand", 100),
        ("rebalancing resumed by hand", 50),
        ("instance refresh", 50),
        ("hardware lost", 50),
        ("launching suspended", 50),
        ("stillborn", 20),
        ("description behind", 500),
        ("action throttled", 100),
        ("answer lost", 100),
        ("crash before an action", 100),
        ("another run decided", 100),
        ("two runs act at once", 100),
        ("no run", 100),
        ("jobs that wait unknown", 500),
        ("empty group", 50),
    ] {
        let met = hits.get(name).copied().unwrap_or(0);
        assert!(met >= least, "so seldom that nothing is shown: {name}, {met} of {least}; {hits:?}");
    }
}

#[test]
fn a_seed_is_the_same_world_each_time() {
    let live = |seed| {
        let mut world = World::new(seed, decide);
        world.live().unwrap();
        (world.pool.fates.clone(), world.hits.by_name())
    };
    assert_eq!(live(7), live(7));
    assert_ne!(live(7), live(8));
}

#[test]
fn each_bad_scaler_is_found() {
    for (name, decides, promises) in bad::ALL {
        let (broken, _) = run(SEEDS, decides);
        let (seed, broken) = broken.unwrap_or_else(|| panic!("{name}: no world shows it"));
        assert!(promises.contains(&broken.promise), "{name}, seed {seed:#x}: {:?}: {}", broken.promise, broken.what);
    }
}
