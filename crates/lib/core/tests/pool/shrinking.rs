//! Shrinking: only by who was seen idle, and only to what was needed lately.

use runnerless_core::pool::{Action, Held, Misconfigured, Pending, Phase, Process};
use runnerless_core::time::Millis;

use crate::bench::{Bench, T0, held, retired};

/// Runs after which a pool of idle members shrinks: the window's minutes and the one that began it.
const WINDOW: u32 = 4;

#[test]
fn idle_members_are_retired_down_to_the_minimum_once_the_window_is_known() {
    let mut bench = Bench::of(4);
    bench.settings.minimum = 2;
    for _ in 1..WINDOW {
        assert_eq!(held(&bench.run()), &Held::Watching { since: T0 });
        bench.minute();
    }
    let decision = bench.run();
    assert_eq!(retired(&decision), ["i-01", "i-02"]);
    assert!(decision.actions.iter().all(|action| matches!(action, Action::Retire { lower_desired: true, .. })));
}

#[test]
fn a_member_with_a_job_is_never_retired() {
    let mut bench = Bench::of(4);
    bench.settings.minimum = 0;
    bench.minutes(WINDOW - 1);
    bench.tells(1, 1, 1);
    bench.tells(3, 2, 2);
    let decision = bench.minute().run();
    assert_eq!(retired(&decision), ["i-02", "i-04"]);
}

#[test]
fn a_job_that_came_and_went_between_two_scrapes_starts_the_count_anew() {
    let mut bench = Bench::of(2);
    bench.minutes(WINDOW - 1);
    bench.minute();
    bench.tells(1, 0, 1);
    bench.tells(2, 0, 1);
    assert_eq!(held(&bench.run()), &Held::NoneIdle { idle_scrapes: 3 });
    assert_eq!(held(&bench.minute().run()), &Held::NoneIdle { idle_scrapes: 3 });
    assert_eq!(retired(&bench.minute().run()).len(), 1, "idle in three scrapes, with the same count");
}

#[test]
fn a_runner_manager_that_began_anew_starts_the_count_anew() {
    let mut bench = Bench::of(2);
    bench.tells(1, 0, 70);
    bench.tells(2, 0, 80);
    bench.minutes(WINDOW - 1);
    bench.minute();
    bench.tells(1, 0, 0);
    bench.tells(2, 0, 0);
    assert_eq!(held(&bench.run()), &Held::NoneIdle { idle_scrapes: 3 });
}

#[test]
fn a_scrape_that_failed_in_between_starts_the_count_anew() {
    let mut bench = Bench::of(2);
    bench.minutes(WINDOW - 1);
    for number in [1, 2] {
        bench.fails(number);
    }
    bench.minute().run();
    bench.now = bench.now + Millis::minutes(1);
    for number in [1, 2] {
        bench.tells(number, 0, 0);
    }
    for _ in 0..2 {
        bench.run();
        bench.minute();
        assert!(bench.memory.members.values().all(|member| member.idle < 3));
    }
    bench.run();
    assert!(bench.memory.members.values().all(|member| member.idle == 3));
}

#[test]
fn the_same_metrics_twice_are_one_scrape() {
    let mut bench = Bench::of(2);
    for _ in 0..5 {
        bench.run();
    }
    assert!(bench.memory.members.values().all(|member| member.idle == 1));
}

#[test]
fn only_a_runner_manager_that_runs_is_retired() {
    for process in [Process::Starting, Process::Draining, Process::Unknown] {
        let mut bench = Bench::of(3);
        bench.settings.minimum = 0;
        for number in 1..=3 {
            bench.reading(number, 0, 0, process);
        }
        assert_eq!(retired(&bench.minutes(WINDOW + 2)), [""; 0], "{process:?}");
    }
}

#[test]
fn only_a_member_in_service_is_retired() {
    for phase in [Phase::Booting, Phase::Leaving, Phase::Other("Standby".to_owned())] {
        let mut bench = Bench::of(4);
        bench.group.members[0].phase = phase.clone();
        bench.group.members[1].phase = phase;
        let decision = bench.minutes(WINDOW);
        assert!(!retired(&decision).contains(&"i-01") && !retired(&decision).contains(&"i-02"), "{decision:?}");
    }
}

#[test]
fn what_was_needed_in_the_window_is_kept() {
    let mut bench = Bench::of(4);
    bench.run();
    bench.minute();
    bench.pending = Pending::Known(8);
    bench.run();
    bench.pending = Pending::Known(0);
    for _ in 0..3 {
        bench.minute();
        let decision = bench.run();
        assert_eq!(retired(&decision), [""; 0]);
    }
    assert_eq!(held(&bench.run()), &Held::NeededLately { highest_need: 8, need: 0 });
    assert_eq!(retired(&bench.minute().run()).len(), 3, "the window has moved on");
}

#[test]
fn so_many_stay_as_are_needed() {
    let mut bench = Bench::of(5);
    (bench.settings.minimum, bench.settings.headroom_slots) = (0, 5);
    let decision = bench.minutes(WINDOW);
    assert_eq!(retired(&decision), ["i-01", "i-02"], "three members have the five slots");
}

#[test]
fn a_desired_capacity_that_the_group_would_not_lower_is_left() {
    let mut bench = Bench::of(4);
    (bench.settings.maximum, bench.group.minimum) = (2, 4);
    assert_eq!(held(&bench.minutes(WINDOW)), &Held::AtMinimum { minimum: 2 });
}

#[test]
fn one_too_many_that_was_named_and_is_still_shown_makes_no_other_go_for_nothing() {
    let mut bench = Bench::of(4);
    (bench.settings.minimum, bench.settings.shrink_step) = (2, 1);
    bench.group.desired = 3;
    let lowers = |bench: &mut Bench| match bench.run().actions[..] {
        [Action::Retire { lower_desired, .. }] => lower_desired,
        ref other => panic!("one is retired: {other:?}"),
    };
    bench.minutes(WINDOW - 1);
    assert!(!lowers(bench.minute()), "four members, and three are wanted");
    assert!(
        lowers(bench.minute()),
        "three are left, whatever is shown: another would be launched in place of this one"
    );
}

#[test]
fn no_more_is_remembered_than_the_window_and_one_entry_a_minute() {
    let mut bench = Bench::of(2);
    bench.minutes(60);
    assert_eq!(bench.memory.needs.len(), 4);
    for _ in 0..60 {
        bench.now = bench.now + Millis(500);
        bench.run();
    }
    assert!(bench.memory.needs.len() <= 4, "{:?}", bench.memory.needs);
}

#[test]
fn a_step_is_the_most_that_one_run_retires() {
    let mut bench = Bench::of(9);
    bench.settings.shrink_step = 2;
    assert_eq!(retired(&bench.minutes(WINDOW)), ["i-01", "i-02"]);
}

#[test]
fn nothing_below_the_groups_own_minimum_is_retired() {
    let mut bench = Bench::of(4);
    bench.group.minimum = 4;
    assert_eq!(held(&bench.minutes(WINDOW)), &Held::AtMinimum { minimum: 4 });
}

#[test]
fn the_minimum_is_one_of_members_that_take_jobs() {
    let mut bench = Bench::of(2);
    bench.reading(2, 0, 0, Process::Draining);
    assert_eq!(held(&bench.minutes(WINDOW)), &Held::AtMinimum { minimum: 1 });
}

#[test]
fn who_has_been_idle_longest_goes_first() {
    let mut bench = Bench::of(3);
    bench.settings.minimum = 2;
    bench.tells(1, 1, 1);
    bench.run();
    bench.minute();
    bench.tells(1, 0, 1);
    bench.minutes(WINDOW - 2);
    bench.minute();
    assert_eq!(retired(&bench.run()), ["i-02"]);
}

#[test]
fn who_was_just_named_is_neither_capacity_nor_named_again_and_no_other_goes_in_its_place() {
    let mut bench = Bench::of(3);
    bench.settings.minimum = 2;
    assert_eq!(retired(&bench.minutes(WINDOW)), ["i-01"]);
    // The group does not show it yet.
    let decision = bench.minute().run();
    assert_eq!(held(&decision), &Held::AtMinimum { minimum: 2 });
    assert_eq!((decision.summary.serving, decision.summary.leaving), (2, 1));
}

#[test]
fn what_failed_to_be_retired_is_decided_anew() {
    let mut bench = Bench::of(3);
    bench.settings.minimum = 2;
    assert_eq!(retired(&bench.minutes(WINDOW)), ["i-01"]);
    let named: Vec<bool> = (0..6).map(|_| !retired(&bench.minute().run()).is_empty()).collect();
    assert!(named.contains(&true), "it is in service, as nothing was done");
}

#[test]
fn a_reading_that_failed_after_a_member_was_named_breaks_the_row_of_good_ones() {
    let mut bench = Bench::of(3);
    bench.settings.minimum = 2;
    assert_eq!(retired(&bench.minutes(WINDOW)), ["i-01"]);
    // Nothing was done. It does not tell once, while nobody would let it go anyway.
    bench.minute().fails(1);
    bench.run();
    bench.minute().tells(1, 0, 0);
    bench.run();
    (2..=3).for_each(|other| bench.tells(other, 1, 1));
    assert_eq!(held(&bench.minute().run()), &Held::NoneIdle { idle_scrapes: 3 }, "it told twice since");
    assert_eq!(retired(&bench.minute().run()), ["i-01"]);
}

#[test]
fn without_a_hook_that_waits_for_the_longest_job_nothing_is_retired() {
    let mut bench = Bench::of(3);
    bench.group.hook = None;
    assert_eq!(held(&bench.minutes(WINDOW)), &Held::NotSafe { because: Misconfigured::NoHook });
    let mut bench = Bench::of(3);
    bench.group.hook.as_mut().unwrap().heartbeat = Millis(bench.settings.longest_job.0 / 100 - 1);
    assert!(matches!(held(&bench.minutes(WINDOW)), Held::NotSafe { because: Misconfigured::HookTooShort { .. } }));
    bench.group.hook.as_mut().unwrap().heartbeat = Millis(bench.settings.longest_job.0 / 100);
    assert_eq!(retired(&bench.minute().run()).len(), 2);
}

#[test]
fn forty_eight_hours_are_the_end_whatever_the_heartbeat_is() {
    let mut bench = Bench::of(3);
    bench.settings.longest_job = Millis::minutes(48 * 60 + 1);
    bench.group.hook.as_mut().unwrap().heartbeat = Millis::minutes(120);
    assert!(matches!(held(&bench.minutes(WINDOW)), Held::NotSafe { because: Misconfigured::HookTooShort { .. } }));
}

#[test]
fn after_a_gap_the_need_is_watched_anew() {
    let mut bench = Bench::of(3);
    bench.minutes(WINDOW - 1);
    bench.now = bench.now + Millis::minutes(10);
    bench.minute();
    let since = bench.now;
    assert_eq!(held(&bench.run()), &Held::Watching { since });
    assert_eq!(bench.memory.needs.len(), 1, "what was needed before is not known");
}

#[test]
fn a_group_that_has_more_than_it_wants_is_not_made_to_want_less() {
    let mut bench = Bench::of(4);
    bench.group.desired = 3;
    let decision = bench.minutes(WINDOW);
    let lowers: Vec<bool> = decision
        .actions
        .iter()
        .filter_map(|action| match action {
            Action::Retire { lower_desired, .. } => Some(*lower_desired),
            _ => None,
        })
        .collect();
    assert_eq!(lowers, [false, true, true]);
}

#[test]
fn the_last_member_stays_while_nobody_knows_whether_jobs_wait() {
    let mut bench = Bench::of(2);
    bench.settings.minimum = 0;
    bench.pending = Pending::Unknown("no token".to_owned());
    assert_eq!(retired(&bench.minutes(WINDOW)), ["i-01"]);
    bench.group.members.remove(0);
    bench.group.desired = 1;
    assert_eq!(held(&bench.minute().run()), &Held::AtMinimum { minimum: 1 });
    bench.pending = Pending::Known(0);
    assert_eq!(retired(&bench.minute().run()), ["i-02"]);
}
