//! A fixed list of seeds: all promises are kept in them, and each is the same world each time.

#![allow(clippy::unwrap_used, reason = "a test fails where something is not as it should be")]

use std::sync::OnceLock;

use runnerless_world::{Fault, Outcome, Plan, Wish, replay, run, shrink, silence};

/// 300 worlds of twelve jobs, and thirty of a hundred.
fn plans() -> [Plan; 2] {
    let plan = |seed, jobs, per_world| Plan {
        seed,
        jobs: Some(jobs),
        time: None,
        per_world,
        off: Vec::new(),
        most_broken: 1,
        threads: 2,
    };
    [plan(0x5eed_0001, 3_600, 12), plan(0x5eed_0002, 3_000, 100)]
}

/// What came of the small ones.
fn small_worlds() -> &'static Outcome {
    static OUTCOME: OnceLock<Outcome> = OnceLock::new();
    silence();
    OUTCOME.get_or_init(|| run(&plans()[0]))
}

#[test]
fn every_promise_is_kept_in_the_fixed_worlds_and_a_second_run_is_the_same() {
    silence();
    for plan in plans() {
        let (one, other) = (run(&plan), run(&Plan { threads: 1, ..plan.clone() }));
        assert!(one.is_fine(&plan), "{:?}", one.broken);
        assert_eq!(one.trace_sha256, other.trace_sha256, "a seed is not the same world each time");
        assert!(one.hits.sum() > one.jobs / 2, "so little went wrong that nothing was shown: {:?}", one.hits.by_name());
    }
}

/// Worlds with a pool are among the fixed ones: one in three.
#[test]
fn pools_grow_and_let_members_go_in_the_fixed_worlds_and_members_with_jobs_are_named_by_others() {
    let pool = small_worlds().pool;
    let met = [pool.grown, pool.let_go, pool.named_busy, pool.raced, pool.lost];
    assert!(
        pool.pools >= 80 && met.iter().all(|met| *met > 0),
        "so little came of pools that nothing was shown: {pool:?}"
    );
}

/// Worlds in which launches have runners of their own are among the fixed ones: one in five.
#[test]
fn launches_get_runners_of_their_own_in_the_fixed_worlds_and_leave_those_that_nobody_can_delete() {
    let outcome = small_worlds();
    let runners = outcome.runners;
    assert!(
        runners.worlds >= 50 && runners.told > 100 && runners.left > 0 && runners.asked > runners.told,
        "so few runners were made for launches that nothing was shown: {runners:?}"
    );
    for fault in ["runner_refused", "runner_answer_lost", "runner_asker_killed", "runner_not_deleted"] {
        assert!(outcome.hits.by_name()[fault] > 0, "{fault}");
    }
}

#[test]
fn a_seed_is_replayed_with_its_lines_and_another_seed_is_another_world() {
    silence();
    let wish = |seed| Wish { seed, jobs: 10, off: Vec::new(), keeps: true };
    let (_, hash, lines) = replay(&wish(7));
    assert_eq!(replay(&wish(7)), (Vec::new(), hash.clone(), lines.clone()));
    assert!(lines.iter().any(|line| line.contains("hears that")), "{lines:?}");
    assert_ne!(replay(&wish(8)).1, hash);
}

#[test]
fn what_is_switched_off_does_not_happen() {
    silence();
    let plan = Plan { jobs: Some(1_200), off: Fault::ALL.to_vec(), ..plans()[0].clone() };
    let outcome = run(&plan);
    assert_eq!(outcome.hits.sum(), 0);
    assert!(outcome.is_fine(&plan), "{:?}", outcome.broken);
}

#[test]
fn a_run_that_met_too_little_is_vacuous_and_one_that_left_it_out_on_purpose_is_not() {
    let plan = Plan { off: vec![Fault::HookLost], ..plans()[0].clone() };
    let outcome = Outcome { jobs: 1_000_000, ..Outcome::default() };
    let names: Vec<&str> = outcome.vacuous(&plan).iter().map(|vacuous| vacuous.name).collect();
    // And that no pool let a member go, nor was one with jobs named by others; that no launch got a runner, and none was left.
    assert_eq!(names.len(), Fault::COUNT - 1 + 2 + 2);
    assert!(!names.contains(&Fault::HookLost.name()) && !outcome.is_fine(&plan));
}

#[test]
fn a_world_that_keeps_its_promises_is_not_made_smaller() {
    silence();
    let broken = runnerless_world::Broken { seed: 7, jobs: 10, off: Vec::new(), violations: Vec::new() };
    assert_eq!(shrink(&broken).jobs, 10);
}
