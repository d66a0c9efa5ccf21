//! What holds of any pool, however strange.

use std::collections::BTreeMap;

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::RngSeed;
use runnerless_core::pool::{
    Action, Group, Hook, Member, MemberMemory, Memory, Need, Pending, Phase, Process, Reading, Scrape, Settings, decide,
};
use runnerless_core::time::{Millis, Timestamp};

use crate::bench::{T0, id};

fn times(within: i64) -> impl Strategy<Value = Timestamp> {
    (-within..within).prop_map(|seconds| T0 + Millis::secs(seconds))
}

fn settings() -> impl Strategy<Value = Settings> {
    let numbers = (0..4_u32, 0..12_u32, 1..=100_u32, 0..6_u32, 1..6_u32, 1..6_u32);
    (numbers, 2..4_u32, 0..10_i64, 1..10_i64, 1..4_u32).prop_map(
        |((minimum, more, target, headroom, grow, shrink), idle, window, warm_up, slots)| {
            Settings {
                minimum,
                maximum: (minimum + more).max(1),
                target_utilisation: target,
                headroom_slots: headroom,
                grow_step: grow,
                shrink_step: shrink,
                idle_scrapes: idle,
                stabilisation: Millis::minutes(window),
                warm_up: Millis::minutes(warm_up),
                unhealthy_after: 3,
                slots_per_member: slots,
                longest_job: Millis::minutes(60),
            }
            .checked()
            .unwrap()
        },
    )
}

fn phase() -> impl Strategy<Value = Phase> {
    prop_oneof![
        6 => Just(Phase::InService),
        1 => Just(Phase::Booting),
        1 => Just(Phase::Leaving),
        1 => Just(Phase::Other("Standby".to_owned())),
    ]
}

fn group() -> impl Strategy<Value = Group> {
    let members = vec((phase(), prop::bool::weighted(0.9), option::of(times(4_000))), 0..12);
    let hook = option::weighted(0.9, (30..7200_i64).prop_map(Millis::secs));
    (members, 0..14_u32, 0..3_u32, 0..14_u32, hook, any::<bool>()).prop_map(
        |(members, desired, minimum, more, heartbeat, suspended)| Group {
            name: "builds".to_owned(),
            minimum,
            maximum: minimum + more,
            desired,
            protects_new_members: true,
            suspended: if suspended { vec!["AZRebalance".to_owned()] } else { Vec::new() },
            hook: heartbeat.map(|heartbeat| Hook {
                name: "drain".to_owned(),
                heartbeat,
                default_result: "CONTINUE".to_owned(),
            }),
            members: (1..)
                .zip(members)
                .map(|(number, (phase, protected, launched_at))| Member {
                    id: id(number),
                    phase,
                    protected,
                    launched_at,
                })
                .collect(),
        },
    )
}

fn scrape() -> impl Strategy<Value = Scrape> {
    let process =
        select(vec![Process::Running, Process::Running, Process::Starting, Process::Draining, Process::Unknown]);
    let good =
        (times(120), select(vec![0, 0, 0, 1, 2]), option::weighted(0.9, 0..4_u32), process, option::of(0..3_u64));
    prop_oneof![
        5 => good.prop_map(|(taken_at, jobs, capacity, process, jobs_total)| {
            Scrape::Good(Reading { taken_at, jobs, capacity, process, jobs_total })
        }),
        1 => Just(Scrape::Failed("no answer".to_owned())),
    ]
}

fn memory() -> impl Strategy<Value = Memory> {
    let member =
        (times(4_000), 0..6_u32, 0..5_u32, option::of(times(130)), option::of(0..3_u64), option::of(times(300)));
    let member = member.prop_map(|(first_seen, idle, failed, taken_at, jobs_total, retired_at)| MemberMemory {
        first_seen,
        idle,
        failed,
        taken_at,
        jobs_total,
        retired_at,
    });
    let need = (0..600_i64, 0..20_u32, option::of(0..9_u32));
    let need = need.prop_map(|(ago, slots, pending)| Need { at: T0 - Millis::secs(ago), slots, pending });
    let members = btree_map((1..12_u32).prop_map(id), member, 0..12);
    (option::of(times(400)), option::of(times(4_000)), option::of(0..14_u32), vec(need, 0..8), members).prop_map(
        |(last_run_at, watched_since, left_desired, mut needs, members)| {
            needs.sort_by_key(|need| need.at);
            Memory { last_run_at, watched_since, grown_at: None, left_desired, short_since: None, needs, members }
        },
    )
}

fn pending() -> impl Strategy<Value = Pending> {
    prop_oneof![3 => (0..20_u32).prop_map(Pending::Known), 1 => Just(Pending::Unknown("no token".to_owned()))]
}

/// Whether the member may have a job, as far as anybody can tell.
fn may_be_busy(scrapes: &BTreeMap<String, Scrape>, id: &str) -> bool {
    match scrapes.get(id) {
        Some(Scrape::Good(reading)) => {
            reading.jobs > 0 || reading.process != Process::Running || (reading.taken_at - T0).0.abs() > 90_000
        }
        _ => true,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5_000, rng_seed: RngSeed::Fixed(0x5eed_0009), ..<_>::default() })]

    #[test]
    fn nothing_that_may_be_busy_is_retired_and_no_limit_is_passed(
        settings in settings(), group in group(), scrapes in btree_map((1..12_u32).prop_map(id), scrape(), 0..12),
        pending in pending(), memory in memory(),
    ) {
        let decision = decide(T0, &settings, &group, &scrapes, &pending, &memory);
        let maximum = settings.maximum.min(group.maximum);
        let mut changes = 0;
        let mut holds = 0;
        let mut desired = group.desired;
        for action in &decision.actions {
            match action {
                Action::Grow { from, to, .. } => {
                    prop_assert_eq!(*from, group.desired);
                    prop_assert!(to > from && *to <= maximum, "from {from} to {to}, at most {maximum}");
                    changes += 1;
                }
                Action::Retire { id, lower_desired, .. } => {
                    let member = group.members.iter().find(|member| member.id == *id).unwrap();
                    prop_assert_eq!(&member.phase, &Phase::InService);
                    prop_assert!(!may_be_busy(&scrapes, id), "{id}: {:?}", scrapes.get(id));
                    let before = &memory.members[id];
                    let Scrape::Good(reading) = &scrapes[id] else { panic!("it tells") };
                    prop_assert!(before.idle + 1 >= settings.idle_scrapes && before.jobs_total == reading.jobs_total);
                    prop_assert!(group.hook.is_some());
                    desired -= u32::from(*lower_desired);
                    changes += 1;
                }
                Action::Hold { .. } => holds += 1,
                Action::Suspend { .. } | Action::Protect { .. } => {}
            }
        }
        prop_assert_eq!(holds, u32::from(changes == 0), "a run that does nothing says why, once");
        prop_assert!(desired == group.desired || desired >= group.minimum.max(settings.minimum.min(maximum)));
        let grows = decision.actions.iter().any(|action| matches!(action, Action::Grow { .. }));
        prop_assert!(!grows || changes == 1, "no run grows and retires");
    }

    #[test]
    fn the_order_in_which_members_are_listed_decides_nothing(
        settings in settings(), group in group(), scrapes in btree_map((1..12_u32).prop_map(id), scrape(), 0..12),
        pending in pending(), memory in memory(),
    ) {
        let mut turned = group.clone();
        turned.members.reverse();
        prop_assert_eq!(
            decide(T0, &settings, &group, &scrapes, &pending, &memory),
            decide(T0, &settings, &turned, &scrapes, &pending, &memory)
        );
    }

    #[test]
    fn what_a_member_has_unknown_never_frees_another(
        settings in settings(), group in group(), scrapes in btree_map((1..12_u32).prop_map(id), scrape(), 0..12),
        pending in pending(), memory in memory(), silent in 1..12_u32,
    ) {
        let retired = |scrapes: &BTreeMap<String, Scrape>| -> Vec<String> {
            let decision = decide(T0, &settings, &group, scrapes, &pending, &memory);
            decision.actions.into_iter().filter_map(|action| match action {
                Action::Retire { id, .. } => Some(id),
                _ => None,
            }).collect()
        };
        let mut fewer = scrapes.clone();
        fewer.remove(&id(silent));
        prop_assert!(!retired(&fewer).contains(&id(silent)));
    }
}
