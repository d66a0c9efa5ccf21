//! Growing: at once, and no further than it may.

use runnerless_core::pool::{Action, Grown, Held, Pending, Phase};
use runnerless_core::time::Millis;

use crate::bench::{Bench, T0, grown, held, member};

#[test]
fn a_pool_grows_by_the_first_run_that_sees_jobs_wait() {
    let mut bench = Bench::of(2);
    bench.tells(1, 2, 2);
    bench.tells(2, 1, 1);
    bench.pending = Pending::Known(6);
    // Nine jobs need nine slots, five more than there are: three members of two.
    let decision = bench.run();
    assert_eq!(
        decision.actions,
        [Action::Grow { from: 2, to: 5, reason: Grown::Needed { need: 9, slots: 4 } }],
        "at once, and nothing else"
    );
    assert_eq!(decision.memory.grown_at, Some(T0));
}

#[test]
fn free_slots_take_waiting_jobs_before_members_are_added() {
    let mut bench = Bench::of(3);
    bench.tells(1, 2, 2);
    bench.pending = Pending::Known(4);
    assert_eq!(grown(&bench.run()), None);
    bench.pending = Pending::Known(5);
    assert_eq!(grown(&bench.run()), Some(4));
}

#[test]
fn the_target_utilisation_is_kept_before_jobs_wait() {
    let mut bench = Bench::of(2);
    bench.tells(1, 2, 2);
    bench.tells(2, 1, 1);
    assert_eq!(grown(&bench.run()), None);
    bench.settings.target_utilisation = 60;
    assert_eq!(grown(&bench.run()), Some(3), "three jobs fill 60 % of five slots");
}

#[test]
fn the_headroom_is_kept_free_also_in_an_idle_pool() {
    let mut bench = Bench::of(2);
    bench.settings.headroom_slots = 5;
    assert_eq!(grown(&bench.run()), Some(3));
    bench.settings.headroom_slots = 4;
    assert_eq!(grown(&bench.run()), None);
}

#[test]
fn headroom_and_utilisation_are_one_margin_and_not_two() {
    let mut bench = Bench::of(5);
    (bench.settings.target_utilisation, bench.settings.headroom_slots) = (80, 2);
    for number in 1..=4 {
        bench.tells(number, 2, 2);
    }
    assert_eq!(bench.run().summary.need, 10, "eight jobs, and two slots more by either rule");
}

#[test]
fn who_waits_needs_a_slot_and_no_margin() {
    let mut bench = Bench::of(2);
    bench.settings.target_utilisation = 50;
    bench.tells(1, 1, 1);
    bench.pending = Pending::Known(4);
    assert_eq!(bench.run().summary.need, 6, "two for the job that runs, and four");
}

#[test]
fn what_boots_counts_until_its_time_is_over() {
    let mut bench = Bench::of(1);
    bench.tells(1, 2, 2);
    bench.pending = Pending::Known(2);
    bench.group.desired = 2;
    let mut booting = member(2, Phase::Booting);
    booting.launched_at = Some(T0);
    bench.group.members.push(booting);
    let decision = bench.run();
    assert_eq!((grown(&decision), held(&decision)), (None, &Held::Coming { slots: 2 }));
    bench.now = T0 + bench.settings.warm_up;
    bench.tells(1, 2, 2);
    assert_eq!(grown(&bench.run()), None, "to the last moment");
    bench.now = bench.now + Millis(1);
    assert_eq!(grown(&bench.run()), Some(3), "another one in place of the one that does not come");
}

#[test]
fn a_member_in_service_whose_runner_has_not_begun_yet_is_awaited_as_well() {
    let mut bench = Bench::of(2);
    bench.tells(1, 2, 2);
    bench.pending = Pending::Known(2);
    bench.fails(2);
    bench.group.members[1].launched_at = Some(T0 - Millis::minutes(1));
    let decision = bench.run();
    assert_eq!((grown(&decision), decision.summary.coming, decision.summary.unknown), (None, 1, 0));
}

#[test]
fn members_that_the_group_has_not_launched_yet_are_not_asked_for_twice() {
    let mut bench = Bench::of(1);
    bench.tells(1, 2, 2);
    bench.pending = Pending::Known(4);
    assert_eq!(grown(&bench.run()), Some(3));
    bench.group.desired = 3;
    bench.minute();
    let decision = bench.run();
    assert_eq!((grown(&decision), held(&decision)), (None, &Held::Coming { slots: 4 }));
    bench.pending = Pending::Known(6);
    assert_eq!(grown(&bench.minute().run()), Some(4), "only what is needed beyond those");
}

#[test]
fn no_run_adds_more_than_a_step_and_the_next_goes_on() {
    let mut bench = Bench::of(1);
    bench.settings.grow_step = 3;
    bench.pending = Pending::Known(100);
    assert_eq!(grown(&bench.run()), Some(4));
    bench.group.desired = 4;
    assert_eq!(grown(&bench.minute().run()), Some(7));
}

#[test]
fn neither_maximum_is_passed_and_the_reason_says_so() {
    for (ours, groups) in [(4, 100), (100, 4)] {
        let mut bench = Bench::of(3);
        (bench.settings.maximum, bench.group.maximum) = (ours, groups);
        bench.pending = Pending::Known(100);
        assert_eq!(grown(&bench.run()), Some(4));
        bench.group.desired = 4;
        let decision = bench.minute().run();
        assert_eq!(held(&decision), &Held::AtMaximum { maximum: 4, need: 100, slots: 8 });
    }
}

#[test]
fn desired_capacity_above_the_maximum_is_not_lowered() {
    let mut bench = Bench::of(3);
    bench.settings.maximum = 2;
    bench.pending = Pending::Known(100);
    assert!(matches!(held(&bench.run()), Held::AtMaximum { maximum: 2, .. }));
}

#[test]
fn the_minimum_is_filled_up_whichever_is_larger() {
    for (ours, groups) in [(3, 0), (1, 3)] {
        let mut bench = Bench::of(1);
        (bench.settings.minimum, bench.group.minimum) = (ours, groups);
        let [Action::Grow { from: 1, to: 3, reason }] = &bench.run().actions[..] else { panic!("it grows to three") };
        assert_eq!(*reason, Grown::Minimum { minimum: 3 });
    }
}

#[test]
fn a_draining_member_is_no_capacity_and_neither_is_one_that_leaves() {
    let mut bench = Bench::of(3);
    bench.pending = Pending::Known(6);
    assert_eq!(grown(&bench.run()), None);
    bench.reading(1, 1, 5, runnerless_core::pool::Process::Draining);
    bench.group.members[1].phase = Phase::Leaving;
    bench.group.desired = 2;
    let decision = bench.run();
    assert_eq!(grown(&decision), Some(4), "two slots are left for six jobs");
    assert_eq!((decision.summary.serving, decision.summary.leaving), (1, 2));
}

#[test]
fn a_group_that_has_more_than_it_wants_grows_beyond_what_it_has() {
    let mut bench = Bench::of(4);
    bench.group.desired = 2;
    bench.pending = Pending::Known(10);
    assert_eq!(grown(&bench.run()), Some(5), "three would launch none");
}

#[test]
fn an_empty_group_grows_for_jobs_that_wait_and_only_for_them() {
    let mut bench = Bench::of(0);
    bench.settings.minimum = 0;
    assert_eq!(held(&bench.run()), &Held::Met { need: 0, slots: 0 });
    bench.pending = Pending::Known(1);
    assert_eq!(grown(&bench.minute().run()), Some(1));
}

#[test]
fn an_empty_group_of_which_nobody_knows_whether_jobs_wait_gets_one_member() {
    let mut bench = Bench::of(0);
    bench.settings.minimum = 0;
    bench.pending = Pending::Unknown("GitLab does not answer".to_owned());
    assert_eq!(grown(&bench.minutes(2)), None, "not for an answer that was missing once");
    let [Action::Grow { to: 1, reason: Grown::Blind, .. }] = bench.minute().run().actions[..] else {
        panic!("one member")
    };
}
