//! The group and the rivals are what they are said to be, and what the bundled traces show.

#![allow(clippy::unwrap_used, reason = "a test fails where something is not as it should be")]

use runnerless_core::pool::Settings;
use runnerless_core::time::Millis;
use runnerless_replay::pool::{BEGIN, Fate, Pool, Shape};
use runnerless_replay::trace::Trace;
use runnerless_replay::{Conditions, Outcome, Rival, Scaler as _, Tracking, bundled, line, replay, summary};

fn shape() -> Shape {
    Shape {
        minimum: 1,
        maximum: 20,
        slots: 1,
        in_service: Millis::secs(20),
        boot: Millis::secs(90),
        drains: false,
        protects: false,
        stillborn: 0,
    }
}

fn trace(rows: &str) -> Trace {
    Trace::parse(&format!("t,job_seconds,tag\n{rows}")).unwrap()
}

fn after(pool: &mut Pool, seconds: i64) {
    pool.advance(BEGIN + Millis::secs(seconds));
}

#[test]
fn a_job_waits_for_a_member_that_boots_and_for_a_free_slot() {
    let mut pool = Pool::new(shape(), 1, trace("0,60,a\n10,60,a\n"), 1);
    after(&mut pool, 89);
    assert_eq!(pool.waiting(), 2);
    after(&mut pool, 1_000);
    let since = |seconds| Fate::Done { since: BEGIN + Millis::secs(seconds) };
    assert_eq!(pool.fates, [since(90), since(150)]);
    assert!(pool.is_over());
    assert_eq!(pool.spent(), Millis::secs(1_000));
}

#[test]
fn a_group_without_hook_and_protection_ends_a_member_with_its_job() {
    let mut pool = Pool::new(shape(), 1, trace("0,600,a\n"), 1);
    after(&mut pool, 100);
    assert!(pool.set_desired(0).is_err(), "below the group's minimum");
    pool.shape.minimum = 0;
    pool.set_desired(0).unwrap();
    assert_eq!((pool.fates.clone(), pool.members.len()), (vec![Fate::Killed], 0));
}

#[test]
fn a_hook_lets_a_member_finish_and_protection_keeps_it() {
    let drains = Shape { drains: true, minimum: 0, ..shape() };
    let mut pool = Pool::new(drains.clone(), 1, trace("0,600,a\n200,5,a\n"), 1);
    after(&mut pool, 100);
    pool.set_desired(0).unwrap();
    after(&mut pool, 689);
    assert_eq!((pool.members.len(), pool.waiting()), (1, 1), "it takes no more jobs");
    after(&mut pool, 690);
    assert!(pool.members.is_empty() && matches!(pool.fates[0], Fate::Done { .. }));

    let mut pool = Pool::new(Shape { protects: true, ..drains }, 1, trace("0,600,a\n"), 1);
    pool.set_desired(0).unwrap();
    after(&mut pool, 100);
    assert_eq!(pool.members.len(), 1);
    let id = pool.members[0].id.clone();
    assert!(pool.terminate(&id, true).is_err(), "desired capacity is as low as it gets");
    pool.terminate(&id, false).unwrap();
    after(&mut pool, 700);
    assert!(pool.members.is_empty() && matches!(pool.fates[0], Fate::Done { .. }));
}

/// Desired capacity after each minute under the policy.
fn tracked(pool: &mut Pool, minutes: i64) -> Vec<u32> {
    let mut policy = Tracking::new(60);
    let minute = |_| {
        pool.advance(pool.now() + Millis::minutes(1));
        policy.run(pool);
        pool.desired
    };
    (0..minutes).map(minute).collect()
}

#[test]
fn target_tracking_wants_three_datapoints_of_members_that_are_warm_and_grows_in_proportion() {
    let jobs: String = (0..40).map(|_| "0,9000,a\n").collect();
    let mut pool = Pool::new(shape(), 3, trace(&jobs), 1);
    let desired = tracked(&mut pool, 16);
    // In service at 20 s, warm 300 s later, measured over whole minutes from then on: 7, 8 and 9.
    assert_eq!(desired[..8], [3; 8]);
    assert_eq!(desired[8], 5, "three members at 100 % are five at 60 %");
    assert_eq!(desired[9..14], [5; 5], "those that warm up are not counted");
    assert_eq!(*desired.last().unwrap(), 9);
}

#[test]
fn target_tracking_wants_fifteen_datapoints_to_shrink() {
    let mut pool = Pool::new(Shape { maximum: 8, ..shape() }, 8, trace("0,1,a\n"), 1);
    let desired = tracked(&mut pool, 24);
    assert_eq!(desired.iter().position(|desired| *desired < 8), Some(20), "{desired:?}");
    assert_eq!(desired[20], 1);
}

fn by(outcomes: &[Outcome], rival: Rival) -> &Outcome {
    outcomes.iter().find(|outcome| outcome.rival == rival).unwrap()
}

#[test]
fn on_the_bundled_traces_ours_ends_no_job_and_lets_jobs_wait_less_than_who_sees_none_wait() {
    for name in bundled::NAMES {
        let outcomes = replay(&bundled::named(name).unwrap(), &Conditions::default());
        let ours = by(&outcomes, Rival::Ours);
        assert!(outcomes.iter().all(|outcome| outcome.unfinished == 0), "{name}");
        assert_eq!((ours.killed, by(&outcomes, Rival::OursWithoutPending).killed), (0, 0), "{name}");
        assert!(by(&outcomes, Rival::TargetTracking).killed > 0, "{name}: nobody asks its members");
        for rival in [Rival::OursWithoutPending, Rival::TargetTracking] {
            assert!(ours.wait(95) <= by(&outcomes, rival).wait(95), "{name}: {rival:?}");
        }
        assert!(by(&outcomes, Rival::Fixed).spent >= ours.spent, "{name}: the fixed group has no fewer hours");
    }
}

#[test]
fn a_replay_is_the_same_each_time_and_its_lines_have_what_others_read() {
    let outcomes = replay(&trace("0,60,a\n0,60,a\n5,600,b\n"), &Conditions::default());
    assert_eq!(outcomes, replay(&trace("0,60,a\n0,60,a\n5,600,b\n"), &Conditions::default()));
    let line = line("mine", &outcomes[0]);
    for key in ["v", "kind", "scaler", "jobs", "killed", "queue_s", "instance_hours", "ok"] {
        assert!(line.get(key).is_some(), "{key}");
    }
    assert_eq!((line["scaler"].as_str(), line["jobs"].as_u64()), (Some("ours"), Some(3)));
    let summary = summary(&outcomes, std::time::Duration::from_secs(1));
    assert_eq!((summary["passed"].as_u64(), summary["ok"].as_bool()), (Some(4), Some(true)));
}

/// The value that the pool's template gives to a line's name.
fn of_template(name: &str) -> i64 {
    let template = include_str!("../../../../pool/template.yaml");
    let line = template.lines().find_map(|line| line.trim().strip_prefix(name)).unwrap_or_else(|| panic!("no {name}"));
    line.trim().trim_matches('\'').parse().unwrap_or_else(|_| panic!("{name} is {line}"))
}

/// The default of one of its parameters.
fn default_of(parameter: &str) -> i64 {
    let template = include_str!("../../../../pool/template.yaml");
    let (_, after) = template.split_once(&format!("\n  {parameter}:\n")).unwrap_or_else(|| panic!("no {parameter}"));
    let default = after.lines().find_map(|line| line.trim().strip_prefix("Default: ")).unwrap();
    default.trim_matches('\'').parse().unwrap_or_else(|_| panic!("{parameter} is {default}"))
}

#[test]
fn what_is_compared_is_what_the_template_deploys() {
    let settings = Settings::default();
    let seconds = |time: Millis| time.0 / 1000;
    for (here, there) in [
        (settings.target_utilisation.into(), default_of("TargetUtilisation")),
        (settings.headroom_slots.into(), default_of("HeadroomSlots")),
        (settings.slots_per_member.into(), default_of("SlotsPerMember")),
        (settings.grow_step.into(), of_template("RUNNERLESS_GROW_STEP:")),
        (settings.shrink_step.into(), of_template("RUNNERLESS_SHRINK_STEP:")),
        (settings.idle_scrapes.into(), of_template("RUNNERLESS_IDLE_RUNS:")),
        (seconds(settings.stabilisation) / 60, of_template("RUNNERLESS_STABILISATION_MINUTES:")),
        (seconds(settings.warm_up), of_template("RUNNERLESS_WARM_UP_SECONDS:")),
        (settings.unhealthy_after.into(), of_template("RUNNERLESS_UNHEALTHY_RUNS:")),
        (seconds(settings.longest_job) / 60, of_template("RUNNERLESS_LONGEST_JOB_MINUTES:")),
    ] {
        assert_eq!(here, there, "{settings:?}");
    }
}
