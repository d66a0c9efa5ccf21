//! How much a sweep does, and that nothing it cannot help keeps it from the rest.

use crate::lost::{Lost, sweep_once};
use crate::support::{T0, World, after, key, rules};
use runnerless_aws::fake::FakeLedger;
use runnerless_aws::ports::Ledger;
use runnerless_core::change::{Item, shard};
use runnerless_core::id::LaunchId;
use runnerless_core::job::JobState;
use runnerless_core::live::{Caps, Live};
use runnerless_core::time::{Millis, Timestamp};
use runnerless_reconciler::{Report, Result};
use serde_json::json;

/// A row that this release cannot read, due since long ago.
fn unreadable(ledger: &FakeLedger, pk: &str, at: Timestamp) {
    let item: Item = serde_json::from_value(json!({"pk": pk, "schema": 99, "rev": 1, "attempt": "many",
        "open": shard(pk), "next_check_at": at.0}))
    .unwrap();
    ledger.put(item);
}

#[tokio::test]
async fn rows_that_cannot_be_read_block_no_other() {
    let (world, rules) = (World::default(), rules());
    for n in 0..3000 {
        unreadable(&world.ledger, &format!("job#9#{n}"), T0 - Millis::days(1));
    }
    world.hook(1, "unit", "pending", T0).await;
    let mut reports: Vec<Report> = Vec::new();
    for minute in 1..=6 {
        reports.push(sweep_once(&world, &rules, false, T0 + Millis::minutes(minute)).await.unwrap());
        if world.job(1).await.state == JobState::Charged {
            break;
        }
    }
    assert_eq!(world.job(1).await.state, JobState::Charged, "{} sweeps did not look at it", reports.len());
    assert!(reports.iter().all(|report| report.more && report.unreadable.len() <= 1000), "a run is bounded");
}

#[tokio::test]
async fn counts_are_corrected_only_by_who_saw_every_live_launch() {
    let (world, rules) = (World::default(), rules());
    world.hook(1, "unit", "pending", T0).await;
    world.router(&rules).route(key(1), T0).await.unwrap();
    let lane = world.launch(1).await.lane;
    let count = || world.ledger.live(&lane);
    world.ledger.recount(&[("stack".to_owned(), 77)]).await.unwrap();
    let pk = LaunchId::new("l-of-tomorrow").pk();
    unreadable(&world.ledger, &pk, after(170));
    let report = sweep_once(&world, &rules, false, after(5)).await.unwrap();
    assert_eq!((report.unreadable, count()), (vec![pk], Live { lane: 0, stack: 77, draining: None }), "it may be live");
}

#[tokio::test]
async fn a_job_row_that_cannot_be_read_does_not_keep_the_counts_wrong() {
    let (world, rules) = (World::default(), rules());
    world.ledger.recount(&[("stack".to_owned(), 77)]).await.unwrap();
    unreadable(&world.ledger, "job#9#1", T0);
    sweep_once(&world, &rules, false, after(5)).await.unwrap();
    let lane = runnerless_core::id::LaneId::new("x");
    assert_eq!(world.ledger.live(&lane), Live { lane: 0, stack: 0, draining: None });
}

#[tokio::test]
async fn what_a_run_has_no_time_for_is_left_and_said() {
    let (world, rules) = (World::default(), rules());
    for job in 1..=20 {
        world.hook(job, "unit", "pending", T0).await;
    }
    world.clock.set(after(60));
    let report = Lost::default().sweep_until(&world, &rules, after(62)).await.unwrap();
    assert_eq!((report.counts["route.left"], world.invoker.started().len()), (20, 0));
    assert!(report.items.iter().all(|item| item.result == Result::Left));
    let next = sweep_once(&world, &rules, false, after(120)).await.unwrap();
    assert_eq!(next.counts["route.done"], 20);
}

#[tokio::test]
async fn a_job_that_a_cap_held_before_its_first_launch_gets_a_launch_that_becomes_free() {
    let (world, mut rules) = (World::default(), rules());
    rules.caps = Caps { lane: 1, stack: 400 };
    world.hook(1, "unit", "pending", T0).await;
    world.router(&rules).route(key(1), T0).await.unwrap();
    world.hook(2, "unit", "pending", T0).await;
    world.router(&rules).route(key(2), T0).await.unwrap();
    let held = world.job(2).await;
    assert_eq!((held.state, held.lane.clone()), (JobState::Waiting, Some(world.launch(1).await.lane)));
    let free = world.launch(1).await.launch;
    world.hook(1, "unit", "canceled", after(1)).await;
    let report = sweep_once(&world, &rules, false, after(30)).await.unwrap();
    assert_eq!(report.counts["assign.done"], 1, "{report:?}");
    assert_eq!(world.job(2).await.charge, Some(free));
}

#[tokio::test]
async fn results_are_told_in_the_plans_order() {
    let (world, rules) = (World::default(), rules());
    for job in 1..=30 {
        world.hook(job, "unit", "pending", after(i64::try_from(job).unwrap())).await;
    }
    let planned = sweep_once(&world, &rules, true, after(90)).await.unwrap();
    let done = sweep_once(&world, &rules, false, after(90)).await.unwrap();
    let rows = |report: &Report| report.items.iter().map(|item| item.row.clone()).collect::<Vec<_>>();
    assert_eq!(rows(&done), rows(&planned));
    assert_eq!(rows(&done)[0], "job#41#1", "the most urgent first");
}
