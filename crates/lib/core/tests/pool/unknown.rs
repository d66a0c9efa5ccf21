//! What is not known: it counts as busy, is never retired, and makes no pool grow.

use runnerless_core::pool::{Finding, Held, Pending, Phase, Reading, Scrape};
use runnerless_core::time::Millis;

use crate::bench::{Bench, T0, finds, grown, held, id, retired};

/// Makes the readings of a member older or newer than now.
fn shift(bench: &mut Bench, number: u32, by: Millis) {
    let now = bench.now;
    let Some(Scrape::Good(reading)) = bench.scrapes.get_mut(&id(number)) else { panic!("it tells") };
    *reading = Reading { taken_at: now + by, ..reading.clone() };
}

#[test]
fn a_pool_none_of_whose_members_tells_stays_as_it_is() {
    let mut bench = Bench::of(4);
    bench.run();
    for number in 1..=4 {
        bench.fails(number);
    }
    for _ in 0..20 {
        let decision = bench.minute().run();
        assert_eq!((retired(&decision), grown(&decision)), (vec![], None));
        assert_eq!((decision.summary.busy, decision.summary.slots, decision.summary.unknown), (8, 8, 4));
    }
    bench.settings.target_utilisation = 10;
    assert_eq!(grown(&bench.minute().run()), None, "the margin is one for jobs that are known");
}

#[test]
fn half_of_the_members_unreachable_are_busy_and_the_others_are_not_retired_in_their_place() {
    let mut bench = Bench::of(6);
    bench.settings.minimum = 0;
    bench.run();
    for number in 1..=3 {
        bench.fails(number);
        bench.tells(number + 3, 2, 2);
    }
    for _ in 0..10 {
        assert_eq!(held(&bench.minute().run()), &Held::Met { need: 12, slots: 12 });
    }
}

#[test]
fn a_member_that_was_not_asked_is_one_that_did_not_tell() {
    let mut bench = Bench::of(1);
    bench.run();
    bench.scrapes.clear();
    let decision = bench.minute().run();
    assert_eq!((decision.summary.unknown, decision.summary.busy), (1, 2));
}

#[test]
fn metrics_of_the_past_and_of_the_future_are_none() {
    for (by, unknown) in [(Millis::secs(-90), 0), (Millis::secs(-91), 1), (Millis::secs(60), 0), (Millis::secs(61), 1)]
    {
        let mut bench = Bench::of(1);
        bench.run();
        bench.now = bench.now + Millis::minutes(2);
        shift(&mut bench, 1, by);
        assert_eq!(bench.run().summary.unknown, unknown, "{by}");
    }
}

#[test]
fn metrics_that_are_older_than_the_last_are_none() {
    let mut bench = Bench::of(1);
    shift(&mut bench, 1, Millis::secs(30));
    bench.run();
    shift(&mut bench, 1, Millis::secs(29));
    assert_eq!(bench.run().summary.unknown, 1);
}

#[test]
fn a_member_that_keeps_silent_is_reported_and_never_retired() {
    let mut bench = Bench::of(3);
    bench.settings.minimum = 0;
    bench.run();
    bench.fails(2);
    let unhealthy = |failures| Finding::Unhealthy { id: id(2), failures, why: "it did not answer".to_owned() };
    assert!(!finds(&bench.minute().run(), &unhealthy(1)));
    bench.minute().run();
    let decision = bench.minute().run();
    assert!(finds(&decision, &unhealthy(3)) && decision.summary.unhealthy == 1);
    for _ in 0..20 {
        assert!(!retired(&bench.minute().run()).contains(&"i-02"));
    }
    bench.minute();
    bench.tells(2, 0, 0);
    assert_eq!(bench.run().summary.unhealthy, 0);
}

#[test]
fn a_member_that_never_tells_is_late_and_not_waited_for() {
    let mut bench = Bench::of(1);
    bench.fails(1);
    bench.group.members[0].launched_at = None;
    let decision = bench.run();
    assert_eq!((decision.summary.coming, decision.findings.len()), (1, 0));
    bench.now = T0 + bench.settings.warm_up + Millis(1);
    let decision = bench.run();
    let age = Millis(bench.settings.warm_up.0 + 1);
    assert!(finds(&decision, &Finding::LateBoot { id: id(1), age }), "{:?}", decision.findings);
    assert_eq!((decision.summary.late, decision.summary.slots), (1, 0));
}

#[test]
fn a_pool_to_whose_members_the_way_is_closed_grows_only_for_jobs_that_wait() {
    let mut bench = Bench::of(2);
    bench.settings.headroom_slots = 1;
    for number in 1..=3 {
        bench.fails(number);
    }
    assert_eq!(grown(&bench.run()), Some(3), "two that never told may have failed to boot");
    bench.group.members.push(crate::bench::member(3, Phase::InService));
    bench.group.desired = 3;
    let decision = bench.minute().run();
    assert_eq!((grown(&decision), decision.summary.need), (None, 0));
    assert!(finds(&decision, &Finding::Mute { members: 3 }));
    bench.pending = Pending::Known(3);
    assert_eq!(grown(&bench.minute().run()), Some(5));
    bench.minute();
    bench.tells(3, 0, 0);
    assert!(!finds(&bench.run(), &Finding::Mute { members: 2 }), "one of them tells");
}

#[test]
fn jobs_that_nobody_counts_are_said_to_be_unknown_and_the_rest_is_decided() {
    let mut bench = Bench::of(2);
    bench.tells(1, 2, 2);
    bench.tells(2, 2, 2);
    bench.settings.headroom_slots = 1;
    bench.pending = Pending::Unknown("no token".to_owned());
    let decision = bench.run();
    assert_eq!((grown(&decision), decision.summary.pending), (Some(3), None));
    assert!(finds(&decision, &Finding::PendingUnknown { why: "no token".to_owned() }));
}

#[test]
fn jobs_that_idle_members_do_not_take_make_no_pool_grow() {
    let mut bench = Bench::of(1);
    bench.pending = Pending::Known(40);
    assert_eq!(grown(&bench.run()), Some(11), "who waits may just have come");
    bench.minute().run();
    let decision = bench.minute().run();
    assert_eq!(grown(&decision), None, "the member was idle in three scrapes beside them");
    assert!(finds(&decision, &Finding::NotTaken { jobs: 40 }));
    bench.pending = Pending::Known(45);
    assert_eq!(bench.minute().run().summary.need, 5, "those that came since are counted");
}

#[test]
fn a_member_in_a_state_of_tomorrow_takes_part_in_nothing() {
    let mut bench = Bench::of(2);
    bench.group.members[1].phase = Phase::Other("Quarantined".to_owned());
    bench.group.desired = 1;
    let decision = bench.minutes(8);
    assert_eq!((decision.summary.slots, decision.summary.coming), (2, 0));
    assert_eq!(retired(&decision), [""; 0]);
}

#[test]
fn the_largest_numbers_that_can_be_told_do_no_harm() {
    let mut bench = Bench::of(2);
    for number in [1, 2] {
        let reading = Reading {
            taken_at: bench.now,
            jobs: u32::MAX,
            capacity: Some(u32::MAX),
            process: runnerless_core::pool::Process::Running,
            jobs_total: Some(u64::MAX),
        };
        bench.scrapes.insert(id(number), Scrape::Good(reading));
    }
    bench.pending = Pending::Known(u32::MAX);
    bench.settings.grow_step = u32::MAX;
    assert_eq!(grown(&bench.run()), Some(20));
}
