//! The sweep over ports in memory: what events should have led to happens without them.

use crate::lost::{Lost, PATH, sweep_once};
use crate::support::{T0, World, after, key, rules};
use runnerless_aws::book::Book;
use runnerless_aws::job_token::TokenSeal;
use runnerless_aws::ports::Ledger;
use runnerless_aws::runner_token_name;
use runnerless_core::change::RowKey;
use runnerless_core::id::LaunchId;
use runnerless_core::job::JobState;
use runnerless_core::launch::{LaunchRow, LaunchState};
use runnerless_core::limits;
use runnerless_core::moves::{End, Got};
use runnerless_core::status::JobStatus;
use runnerless_core::time::{Millis, Timestamp};
use runnerless_gitlab::rest::ApiJob;
use runnerless_gitlab::rest::fake::FakeJobs;
use runnerless_lambda_kit::Named;
use runnerless_lost::Answer;
use runnerless_reconciler::{Report, Request};
use runnerless_router::Rules;

async fn swept(world: &World, rules: &Rules, now: Timestamp) -> Report {
    sweep_once(world, rules, false, now).await.unwrap()
}

async fn launch(world: &World, id: &LaunchId) -> LaunchRow {
    world.ledger.load(&[RowKey::Launch(id.clone())]).await.unwrap().launch(id).unwrap().expect("the launch is there")
}

/// A job whose launch is bound to it, and the launch.
async fn bound(world: &World, rules: &Rules, job: u64) -> LaunchId {
    world.hook(job, "unit", "pending", T0).await;
    world.router(rules).route(key(job), T0).await.unwrap();
    let row = world.launch(job).await;
    let book = Book(&world.ledger);
    book.begin(&row.launch, &row.nonce_sha256, "c", T0).await.unwrap();
    book.bind(&row.launch, key(job), T0).await.unwrap();
    row.launch
}

#[tokio::test]
async fn a_job_whose_event_was_lost_is_launched_for() {
    let (world, rules) = (World::default(), rules());
    world.hook(1, "unit", "pending", T0).await;
    assert_eq!(swept(&world, &rules, after(5)).await.counts.len(), 0, "its event may still be on its way");
    let report = swept(&world, &rules, after(20)).await;
    assert_eq!(report.counts["route.done"], 1, "{report:?}");
    assert_eq!(world.invoker.started().len(), 1);
    swept(&world, &rules, after(25)).await;
    assert_eq!(world.invoker.started().len(), 1, "and not twice");
}

#[tokio::test]
async fn two_sweeps_at_once_launch_once() {
    let (world, rules) = (World::default(), rules());
    world.hook(1, "unit", "pending", T0).await;
    let (one, other) = tokio::join!(swept(&world, &rules, after(20)), swept(&world, &rules, after(20)));
    assert_eq!(world.invoker.started().len(), 1, "{one:?} {other:?}");
}

#[tokio::test]
async fn a_dry_run_plans_and_changes_nothing() {
    let (world, rules) = (World::default(), rules());
    world.hook(1, "unit", "pending", T0).await;
    let before = world.ledger.items();
    let request: Request = serde_json::from_str(include_str!("../../../../../events/reconciler/dry-run.json")).unwrap();
    let report = sweep_once(&world, &rules, request.dry_run, after(60)).await.unwrap();
    assert_eq!(report.counts["route.planned"], 1);
    assert_eq!(report.items[0].reason, "it waits without a launch");
    assert_eq!(world.ledger.items(), before);
    let scheduled: Request =
        serde_json::from_str(include_str!("../../../../../events/reconciler/schedule.json")).unwrap();
    assert!(!scheduled.dry_run);
}

/// A running job whose executor left its token, as at `T0`.
async fn running(world: &World, rules: &Rules, gitlab: &Lost) -> LaunchId {
    world.hook(1, "unit", "pending", T0).await;
    world.router(rules).route(key(1), T0).await.unwrap();
    let row = world.launch(1).await;
    gitlab.parameters.put(&runner_token_name(PATH, row.engine, &row.lane), "glrt-t3_lane");
    let job_token = TokenSeal::new("glrt-t3_lane", &row.launch).unwrap().seal(key(1), "glcbt-job").ok();
    let book = Book(&world.ledger);
    book.begin(&row.launch, &row.nonce_sha256, "c", T0).await.unwrap();
    let got = Got { job_token, beat_ms: Some(limits::BEAT), ..Got::from(key(1)) };
    book.bind(&row.launch, got, T0).await.unwrap();
    book.renew(&row.launch, T0).await.unwrap();
    world.hook(1, "unit", "running", T0).await;
    gitlab.gitlab.runs(1, "glcbt-job");
    row.launch
}

#[tokio::test]
async fn a_silent_executors_job_is_reported_within_four_minutes_and_once() {
    let (world, rules, gitlab) = (World::default(), rules(), Lost::default());
    let id = running(&world, &rules, &gitlab).await;
    let at = T0 + limits::HEARTBEAT_LEASE;
    assert!(gitlab.sweep(&world, &rules, false, at - Millis(1)).await.unwrap().counts.is_empty(), "it may live");
    let report = gitlab.sweep(&world, &rules, false, at).await.unwrap();
    assert_eq!(report.counts["lost.done"], 1, "{report:?}");
    assert_eq!(gitlab.gitlab.told(), [(1, "glcbt-job".to_owned())]);
    let row = launch(&world, &id).await;
    assert_eq!((row.state, row.job_token), (LaunchState::Closed, None));
    gitlab.sweep(&world, &rules, false, at + Millis::minutes(5)).await.unwrap();
    assert_eq!(gitlab.gitlab.told().len(), 1);
}

#[tokio::test]
async fn a_report_that_gitlab_did_not_take_is_repeated_by_the_next_sweep() {
    let (world, rules, gitlab) = (World::default(), rules(), Lost::default());
    let id = running(&world, &rules, &gitlab).await;
    let at = T0 + limits::HEARTBEAT_LEASE;
    gitlab.gitlab.answer(Some(Answer::Later("503".into())));
    gitlab.sweep(&world, &rules, false, at).await.unwrap();
    assert!(launch(&world, &id).await.owes_report());
    let report = gitlab.sweep(&world, &rules, false, at + limits::SETTLE_CHECK).await.unwrap();
    assert_eq!((report.counts["report.held"], report.live_launches), (1, 1));
    gitlab.gitlab.answer(None);
    let report = gitlab.sweep(&world, &rules, false, at + Millis::minutes(2)).await.unwrap();
    assert_eq!(report.counts["report.done"], 1, "{report:?}");
    assert_eq!(launch(&world, &id).await.state, LaunchState::Closed);
}

#[tokio::test]
async fn a_job_that_our_runner_has_and_no_launch_bound_is_an_alarm_and_not_launched_for() {
    let (world, rules) = (World::default(), rules());
    world.hook(1, "unit", "pending", T0).await;
    world.taken(1, 7, true).await;
    let report = sweep_once(&world, &rules, false, after(1)).await.unwrap();
    assert_eq!(report.counts["unaccounted.done"], 1, "{report:?}");
    assert_eq!((world.job(1).await.state, world.invoker.started().len()), (JobState::Foreign, 0));
    assert!(world.job(1).await.reason.contains("our runner"));
    assert!(sweep_once(&world, &rules, false, after(120)).await.unwrap().counts.is_empty(), "one alarm");
}

#[tokio::test]
async fn a_charge_whose_request_never_went_out_is_started_with_that_request() {
    let (world, rules) = (World::default(), rules());
    world.hook(1, "unit", "pending", T0).await;
    world.invoker.answer(Err(runnerless_aws::AwsError::Unavailable {
        service: runnerless_aws::Service::Invoke,
        operation: "Invoke",
        source: "no answer".into(),
    }));
    assert!(world.router(&rules).route(key(1), T0).await.is_err());
    let frozen = world.launch(1).await.request.expect("the request is kept");
    let report = swept(&world, &rules, after(20)).await;
    assert_eq!(report.counts["start.done"], 1, "{report:?}");
    assert_eq!(world.invoker.started()[0].payload, frozen);
}

#[tokio::test]
async fn a_launch_that_never_began_is_stopped_and_its_job_gets_another() {
    let (world, rules) = (World::default(), rules());
    world.hook(1, "unit", "pending", T0).await;
    world.router(&rules).route(key(1), T0).await.unwrap();
    let first = world.launch(1).await;
    swept(&world, &rules, first.lease_until).await;
    assert_eq!(launch(&world, &first.launch).await.state, LaunchState::Closed);
    assert_eq!(world.job(1).await.fruitless, 1, "AWS took it: a target that never begins is not tried for ever");
    swept(&world, &rules, first.lease_until + limits::RETRY_BACKOFF[0]).await;
    assert_eq!(world.invoker.started().len(), 2);
}

#[tokio::test]
async fn three_launches_that_find_nothing_make_a_job_unserved_and_it_costs_one_an_hour() {
    let (world, rules) = (World::default(), rules());
    world.hook(1, "unit", "pending", T0).await;
    let mut now = T0;
    for _ in 0..3 {
        now = world.job(1).await.due.next_check_at.expect("it is due");
        swept(&world, &rules, now).await;
        let id = world.launch(1).await.launch;
        Book(&world.ledger).conclude(&id, &End::Fruitless("no job came".into()), now).await.unwrap();
    }
    let job = world.job(1).await;
    assert_eq!(job.state, JobState::Unserved);
    assert!(job.reason.contains("no job came"), "{}", job.reason);
    for minute in 1..60 {
        swept(&world, &rules, now + runnerless_core::time::Millis::minutes(minute)).await;
    }
    assert_eq!(world.invoker.started().len(), 3);
    swept(&world, &rules, now + limits::UNSERVED_RETRY).await;
    assert_eq!(world.invoker.started().len(), 4);
}

#[tokio::test]
async fn a_silent_launch_is_concluded_and_a_living_one_is_left_alone() {
    let (world, rules) = (World::default(), rules());
    let id = bound(&world, &rules, 1).await;
    world.hook(1, "unit", "running", after(1)).await;
    Book(&world.ledger).renew(&id, after(60)).await.unwrap();
    swept(&world, &rules, after(200)).await;
    assert_eq!(launch(&world, &id).await.state, LaunchState::Bound);
    let report = swept(&world, &rules, after(60) + limits::HEARTBEAT_LEASE).await;
    assert_eq!(report.counts["lost.done"], 1, "{report:?}");
    assert_eq!(launch(&world, &id).await.state, LaunchState::Closed);
}

#[tokio::test]
async fn a_spare_launch_serves_a_waiting_job_before_a_new_one_is_started() {
    let (world, rules) = (World::default(), rules());
    world.hook(1, "unit", "pending", T0).await;
    world.router(&rules).route(key(1), T0).await.unwrap();
    let spare = world.launch(1).await.launch;
    world.hook(1, "unit", "canceled", after(1)).await;
    // Job 2 was routed to the same lane before, and its first launch was throttled.
    world.invoker.answer(Ok(runnerless_aws::ports::Invoked::Throttled));
    world.hook(2, "unit", "pending", after(2)).await;
    world.router(&rules).route(key(2), after(2)).await.unwrap();
    let report = swept(&world, &rules, after(30)).await;
    assert_eq!(report.counts["assign.done"], 1, "{report:?}");
    assert_eq!(world.job(2).await.charge, Some(spare));
    assert_eq!(world.invoker.started().len(), 1);
}

#[tokio::test]
async fn a_spare_launch_that_this_run_stops_is_given_to_nobody() {
    let (world, rules) = (World::default(), rules());
    world.hook(1, "unit", "pending", T0).await;
    world.router(&rules).route(key(1), T0).await.unwrap();
    let spare = world.launch(1).await;
    world.hook(1, "unit", "canceled", after(1)).await;
    world.invoker.answer(Ok(runnerless_aws::ports::Invoked::Throttled));
    world.hook(2, "unit", "pending", after(2)).await;
    world.router(&rules).route(key(2), after(2)).await.unwrap();
    // Its function never began, and its time is over.
    let report = swept(&world, &rules, spare.lease_until).await;
    assert_eq!((report.counts["stop.done"], report.counts["route.done"]), (1, 1), "{report:?}");
    assert!(world.job(2).await.charge.is_some_and(|charge| charge != spare.launch));
    assert_eq!(world.invoker.started().len(), 2);
}

#[tokio::test]
async fn an_end_hook_that_was_lost_is_asked_for_and_the_rows_retire() {
    let (mut world, rules) = (World::default(), rules());
    let id = bound(&world, &rules, 1).await;
    Book(&world.ledger).conclude(&id, &End::JobDone("done".into()), after(30)).await.unwrap();
    let without = swept(&world, &rules, after(90)).await;
    assert_eq!(without.counts["ask.held"], 1);
    assert_eq!(world.job(1).await.state, JobState::Bound, "nobody can be asked");
    let api = FakeJobs::default();
    api.put(ApiJob {
        key: key(1),
        status: JobStatus::Ended("success"),
        tags: None,
        runner: None,
        system_id: None,
        name: "unit".into(),
        stage: String::new(),
        git_ref: String::new(),
        created_at: Some(T0),
    });
    world.api = Some(api);
    swept(&world, &rules, after(700)).await;
    let job = world.job(1).await;
    assert_eq!((job.state, job.due.next_check_at), (JobState::Ended, None));
    assert!(job.expires_at.is_some(), "only rows with nothing left to do expire");
}

#[tokio::test]
async fn the_counts_are_put_right() {
    let (world, rules) = (World::default(), rules());
    world.hook(1, "unit", "pending", T0).await;
    world.router(&rules).route(key(1), T0).await.unwrap();
    world.ledger.recount(&[("stack".to_owned(), 77)]).await.unwrap();
    swept(&world, &rules, after(5)).await;
    let lane = world.launch(1).await.lane;
    let live = world.ledger.live(&lane);
    assert_eq!((live.lane, live.stack), (1, 1));
}

#[tokio::test]
async fn a_row_that_cannot_be_read_is_reported_and_left_alone() {
    let (world, rules) = (World::default(), rules());
    world.hook(1, "unit", "pending", T0).await;
    let mut item = world.ledger.items()["job#41#1"].clone();
    item.insert("attempt".into(), "many".into());
    world.ledger.put(item.clone());
    let report = swept(&world, &rules, after(60)).await;
    assert_eq!(report.unreadable, ["job#41#1"]);
    assert_eq!(world.ledger.items()["job#41#1"], item);
}

#[tokio::test]
async fn what_fails_is_counted_as_failed_and_stays_due() {
    let (world, rules) = (World::default(), rules());
    world.hook(1, "unit", "pending", T0).await;
    world.mapping.fail(true);
    let failed = sweep_once(&world, &rules, false, after(20)).await.unwrap_err();
    assert_eq!(failed.name(), "Sweep.NothingDone", "a sweep whose work failed has failed");
    world.mapping.fail(false);
    assert_eq!(swept(&world, &rules, after(80)).await.counts["route.done"], 1);
}
