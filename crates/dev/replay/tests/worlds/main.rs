//! Random worlds of pools: every promise is kept in them, enough is met, and bad scalers are found.

#![allow(clippy::unwrap_used, reason = "a test fails where something is not as it should be")]

mod bad;

use std::collections::BTreeMap;

use runnerless_core::pool::decide;
use runnerless_replay::worlds::{fates, live};

/// The seeds of each run of the tests; `make pool-worlds` takes others.
const SEEDS: std::ops::Range<u64> = 0x5eed_0800..0x5eed_0800 + 400;

#[test]
fn nothing_busy_is_ended_and_every_pool_grows_and_comes_down() {
    let lived = live(SEEDS, decide);
    assert_eq!(lived.broken, None);
    let hits: BTreeMap<&str, u64> = lived.hits.by_name();
    for (name, least) in [
        ("grown", 1_000),
        ("retired", 1_000),
        ("held", 10_000),
        ("took a job after its last scrape", 5),
        ("scrape timed out", 1_000),
        ("half unreachable", 100),
        ("all unreachable", 50),
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
        ("long enough without a job", 500),
    ] {
        let met = hits.get(name).copied().unwrap_or(0);
        assert!(met >= least, "so seldom that nothing is shown: {name}, {met} of {least}; {hits:?}");
    }
}

#[test]
fn a_seed_is_the_same_world_each_time() {
    assert_eq!(fates(7, decide), fates(7, decide));
    assert_ne!(fates(7, decide), fates(8, decide));
}

#[test]
fn each_bad_scaler_is_found() {
    for (name, decides, promises) in bad::ALL {
        let (seed, broken) = live(SEEDS, decides).broken.unwrap_or_else(|| panic!("{name}: no world shows it"));
        assert!(promises.contains(&broken.promise), "{name}, seed {seed:#x}: {:?}: {}", broken.promise, broken.what);
    }
}
