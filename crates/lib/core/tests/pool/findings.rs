//! What an operator is told, and what keeps the group from ending members.

use runnerless_core::pool::{Action, Finding, Misconfigured, Pending, Phase, Process};
use runnerless_core::time::Millis;

use crate::bench::{Bench, T0, finds, id, member, retired};

#[test]
fn a_pool_that_is_as_it_should_be_has_nothing_to_tell() {
    assert_eq!(Bench::of(3).minutes(3).findings, []);
}

#[test]
fn unprotected_members_are_protected_where_auto_scaling_takes_it() {
    let mut bench = Bench::of(3);
    bench.group.members[0].protected = false;
    bench.group.members[2].protected = false;
    for (number, phase) in [(4, Phase::Booting), (5, Phase::Leaving)] {
        bench.group.members.push(runnerless_core::pool::Member { protected: false, ..member(number, phase) });
    }
    bench.group.protects_new_members = false;
    let decision = bench.run();
    assert_eq!(decision.actions[0], Action::Protect { ids: vec![id(1), id(3)] });
    assert!(finds(&decision, &Finding::Misconfigured(Misconfigured::NewUnprotected)));
}

#[test]
fn rebalancing_is_suspended_because_it_asks_nobody_for_their_jobs() {
    let mut bench = Bench::of(1);
    bench.group.suspended = vec!["Launch".to_owned()];
    let decision = bench.run();
    assert_eq!(decision.actions[0], Action::Suspend { process: "AZRebalance" });
    assert!(finds(&decision, &Finding::Misconfigured(Misconfigured::Suspended { process: "Launch" })));
}

#[test]
fn a_desired_capacity_that_is_not_what_was_left_is_told_once() {
    let mut bench = Bench::of(3);
    bench.run();
    bench.group.desired = 5;
    let changed = Finding::Changed { left: 3, found: 5 };
    assert!(finds(&bench.minute().run(), &changed));
    assert!(!finds(&bench.minute().run(), &changed));
}

#[test]
fn what_was_done_is_no_change_by_hand() {
    let mut bench = Bench::of(3);
    bench.settings.minimum = 2;
    let decision = bench.minutes(4);
    assert_eq!(retired(&decision), ["i-01"]);
    bench.group.members.remove(0);
    bench.group.desired = 2;
    assert_eq!(bench.minute().run().findings, []);
    bench.pending = Pending::Known(6);
    bench.minute().run();
    bench.group.desired = 3;
    assert_eq!(bench.minute().run().findings, []);
}

#[test]
fn a_group_that_cannot_launch_is_told_after_the_time_that_booting_may_take() {
    let mut bench = Bench::of(2);
    bench.group.desired = 4;
    let short = Finding::Short { missing: 2, since: T0 };
    for _ in 0..=5 {
        assert!(!finds(&bench.run(), &short));
        bench.minute();
    }
    assert!(finds(&bench.run(), &short));
    bench.group.desired = 2;
    bench.minute().run();
    assert_eq!(bench.memory.short_since, None);
}

#[test]
fn who_stays_in_service_after_it_was_named_is_told_once() {
    let mut bench = Bench::of(3);
    bench.settings.minimum = 2;
    bench.minutes(4);
    bench.tells(1, 1, 1);
    let told: Vec<bool> = (0..5).map(|_| finds(&bench.minute().run(), &Finding::StillHere { id: id(1) })).collect();
    assert_eq!(told, [false, false, true, false, false]);
}

#[test]
fn limits_that_exclude_each_other_are_told_and_the_maximum_holds() {
    let mut bench = Bench::of(1);
    (bench.settings.minimum, bench.group.maximum) = (6, 4);
    let decision = bench.run();
    assert!(finds(&decision, &Finding::Misconfigured(Misconfigured::Bounds { minimum: 6, maximum: 4 })));
    assert_eq!((decision.summary.minimum, decision.summary.maximum), (4, 4));
}

#[test]
fn one_member_stands_for_all_that_are_set_otherwise() {
    let mut bench = Bench::of(3);
    bench.settings.slots_per_member = 4;
    for number in 1..=3 {
        bench.reading(number, 0, 0, Process::Unknown);
    }
    let decision = bench.run();
    let wrong =
        [Misconfigured::Capacity { id: id(1), told: 2, expected: 4 }, Misconfigured::NoProcessState { id: id(1) }];
    assert_eq!(decision.findings, wrong.map(Finding::Misconfigured));
}

#[test]
fn a_pool_that_can_see_no_need_beyond_its_slots_is_told() {
    let mut bench = Bench::of(1);
    bench.pending = Pending::Unknown("no token".to_owned());
    let no_signal = Finding::Misconfigured(Misconfigured::NoSignal);
    assert!(finds(&bench.run(), &no_signal));
    bench.settings.headroom_slots = 1;
    assert!(!finds(&bench.run(), &no_signal));
    (bench.settings.headroom_slots, bench.settings.target_utilisation) = (0, 99);
    assert!(!finds(&bench.run(), &no_signal));
}

#[test]
fn every_finding_says_what_is_wrong_and_what_helps() {
    let waits = Misconfigured::HookTooShort {
        hook: "drain".to_owned(),
        waits: Millis::secs(3000),
        longest_job: Millis::secs(11_400),
    };
    assert_eq!(
        Finding::Misconfigured(waits).to_string(),
        "the hook drain waits for 3000 s, and a job may take 11400 s; raise the hook's heartbeat to a hundredth of the \
         longest job (48 h in all)"
    );
}
