//! The listing over ports in memory: a job whose hook never came is found, within the calls of a run.

use std::cell::RefCell;

use crate::lost::{HOOK, Lost};
use crate::support::{T0, World, after, key, rules};
use runnerless_aws::ports::Ledger;
use runnerless_core::change::{RowKey, SCHEMA};
use runnerless_core::id::JobKey;
use runnerless_core::job::JobState;
use runnerless_core::lane::TagSet;
use runnerless_core::limits;
use runnerless_core::project::{Alert, Hook, ProjectRow, add, heard, project_pk};
use runnerless_core::status::JobStatus;
use runnerless_core::time::{Millis, Timestamp};
use runnerless_gitlab::rest::ApiJob;
use runnerless_gitlab::rest::fake::FakeJobs;
use runnerless_lambda_kit::metrics;
use runnerless_reconciler::{Listing, Report, Result};
use serde_json::json;

/// The project of [`key`].
const PROJECT: u64 = 41;

thread_local! {
    /// What this test's thread counted.
    static COUNTED: RefCell<Vec<(&'static str, u64)>> = const { RefCell::new(Vec::new()) };
}

/// How often a metric was counted since the last look, as its values' sum.
fn counted(name: &str) -> u64 {
    COUNTED.with_borrow(|counted| counted.iter().filter(|(of, _)| *of == name).map(|(_, value)| value).sum())
}

/// How many troubles were sounded, but for those of lanes: they have no token here.
fn troubles() -> u64 {
    counted("Troubles") - counted("LaneTokenMissing")
}

fn forget_counts() {
    COUNTED.with_borrow_mut(Vec::clear);
}

/// A world with an API token.
fn world() -> World {
    metrics::divert(|_, name, value| COUNTED.with_borrow_mut(|counted| counted.push((name, value))));
    forget_counts();
    let api = FakeJobs::default();
    World { api: Some(api), ..World::default() }
}

fn api(world: &World) -> &FakeJobs {
    world.api.as_ref().unwrap()
}

/// A pending job in GitLab, of which no hook came.
fn pending(world: &World, key: JobKey, waited: Millis) {
    api(world).put(ApiJob {
        key,
        status: JobStatus::Pending,
        tags: Some(TagSet::default()),
        runner: None,
        system_id: None,
        name: "unit".into(),
        stage: "test".into(),
        git_ref: "main".into(),
        created_at: Some(T0),
    });
    api(world).put_waited(key, waited);
    api(world).put_path(key.project, "acme/widgets");
}

fn our_hook(alert: Alert) -> Vec<Hook> {
    vec![Hook { url: HOOK.into(), job_events: true, alert, disabled_until: None }]
}

async fn project(world: &World, id: u64) -> Option<ProjectRow> {
    world.ledger.load(&[RowKey::Project(id)]).await.unwrap().project(id).unwrap()
}

/// A project that an operator named, with a hook that works.
async fn named(world: &World, id: u64, now: Timestamp) {
    let plan = add(project(world, id).await.as_ref(), id, "acme/widgets", now);
    world.ledger.apply(&plan).await.unwrap();
    api(world).put_hooks(id, our_hook(Alert::Executable));
}

/// A hook of the project comes, and is noted.
async fn hears(world: &World, id: u64, now: Timestamp) {
    if let Some(plan) = heard(project(world, id).await.as_ref(), id, "acme/widgets", now) {
        world.ledger.apply(&plan).await.unwrap();
    }
    api(world).put_hooks(id, our_hook(Alert::Executable));
}

async fn swept(world: &World, calls: u32, now: Timestamp) -> Report {
    sweep(world, calls, false, now).await
}

async fn sweep(world: &World, calls: u32, dry_run: bool, now: Timestamp) -> Report {
    let lost = Lost { listing: Listing { calls, webhook_url: HOOK.to_owned() }, ..Lost::default() };
    lost.sweep(world, &rules(), dry_run, now).await.unwrap()
}

fn count(report: &Report, name: &str) -> u64 {
    report.counts.get(name).copied().unwrap_or_default()
}

/// Projects that were listed, in their order.
fn listed(world: &World) -> Vec<String> {
    api(world).asked().iter().filter_map(|call| call.strip_prefix("pending ").map(str::to_owned)).collect()
}

#[tokio::test]
async fn a_job_whose_hook_was_lost_is_found_and_launched_for_in_the_same_run() {
    let world = world();
    named(&world, PROJECT, T0).await;
    pending(&world, key(1), Millis::secs(300));
    let report = swept(&world, 60, after(1)).await;
    assert_eq!((count(&report, "list.done"), count(&report, "route.done")), (1, 1), "{report:?}");
    let job = world.job(1).await;
    assert_eq!((job.state, job.facts.project_path.as_str(), job.attempt), (JobState::Charged, "acme/widgets", 1));
    assert_eq!((world.invoker.started().len(), counted("JobsFound"), counted("Launches")), (1, 1, 1));
    assert_eq!(api(&world).asked(), ["pending 41", "hooks 41"], "its tags are in the list");
    let row = project(&world, PROJECT).await.unwrap();
    assert_eq!((row.visited_at.is_some(), row.due.next_check_at), (true, Some(after(1) + limits::VISIT_ACTIVE)));
    swept(&world, 60, after(200)).await;
    assert_eq!((world.invoker.started().len(), counted("JobsFound")), (1, 1), "once");
}

#[tokio::test]
async fn a_job_that_its_hook_told_is_not_found_again() {
    let world = world();
    hears(&world, PROJECT, T0).await;
    world.hook(1, "unit", "pending", T0).await;
    world.router(&rules()).route(key(1), T0).await.unwrap();
    pending(&world, key(1), Millis::secs(120));
    let before = world.job(1).await;
    swept(&world, 60, after(121)).await;
    assert_eq!((world.job(1).await, counted("JobsFound")), (before, 0));
}

#[tokio::test]
async fn a_page_that_fails_loses_nothing_and_the_listing_goes_on_behind_the_last_one() {
    let world = world();
    named(&world, PROJECT, T0).await;
    api(&world).page_size(2);
    (1..=5).for_each(|job| pending(&world, key(job), Millis::secs(300)));
    api(&world).fail_page(2, 503);
    let report = swept(&world, 60, after(1)).await;
    assert_eq!((count(&report, "list.failed"), count(&report, "route.done")), (1, 2), "{report:?}");
    let row = project(&world, PROJECT).await.unwrap();
    assert_eq!((row.cursor.as_deref(), row.visited_at), (Some("4"), None));
    let next = row.due.next_check_at.unwrap();
    let report = swept(&world, 60, next).await;
    assert_eq!((count(&report, "list.done"), count(&report, "route.done")), (1, 3), "{report:?}");
    assert_eq!(listed(&world), ["41", "41 from 4", "41 from 4", "41 from 2"]);
    assert_eq!((world.invoker.started().len(), counted("JobsFound")), (5, 5));
    assert_eq!(project(&world, PROJECT).await.unwrap().cursor, None);
}

#[tokio::test]
async fn an_old_cursor_makes_the_listing_begin_again() {
    let world = world();
    named(&world, PROJECT, T0).await;
    api(&world).page_size(1);
    (1..=2).for_each(|job| pending(&world, key(job), Millis::secs(300)));
    api(&world).fail_page(2, 400);
    assert_eq!(count(&swept(&world, 60, after(1)).await, "list.failed"), 1);
    assert_eq!(counted("ListingUnsupported"), 0);
    assert_eq!(count(&swept(&world, 60, after(61)).await, "list.done"), 1);
    assert_eq!(listed(&world), ["41", "41 from 2", "41", "41 from 2"]);
    assert_eq!(world.invoker.started().len(), 2);
}

#[tokio::test]
async fn spent_calls_leave_the_rest_to_the_next_run_and_lively_projects_come_first() {
    let world = world();
    for id in [1, 2, 3] {
        named(&world, id, T0).await;
    }
    for id in [11, 12, 13, 14, 15] {
        hears(&world, id, T0).await;
    }
    api(&world).fail_hooks(Some(403));
    // Each first visit looks at the hook, too: two calls.
    let report = swept(&world, 8, after(130)).await;
    assert_eq!(listed(&world), ["11", "12", "13", "1"]);
    assert_eq!((count(&report, "list.done"), count(&report, "list.left")), (4, 4), "{report:?}");
    let left = report.items.iter().find(|item| item.result == Result::Left).unwrap();
    assert!(left.reason.contains("calls or its time are spent"), "{}", left.reason);
    swept(&world, 8, after(190)).await;
    assert_eq!(listed(&world)[4..], ["14", "15", "2", "3"]);
    let listing = report.listing.unwrap();
    assert_eq!((listing.calls, listing.projects.all()), (8, 8));
}

#[tokio::test]
async fn a_project_with_more_pages_than_calls_goes_on_at_its_cursor() {
    let world = world();
    named(&world, PROJECT, T0).await;
    api(&world).page_size(1);
    (1..=6).for_each(|job| pending(&world, key(job), Millis::secs(300)));
    let report = swept(&world, 4, after(1)).await;
    assert_eq!((count(&report, "list.held"), count(&report, "route.done")), (1, 4), "{report:?}");
    let report = swept(&world, 4, after(61)).await;
    assert_eq!((count(&report, "list.done"), count(&report, "route.done")), (1, 2), "{report:?}");
    assert_eq!(listed(&world), ["41", "41 from 6", "41 from 5", "41 from 4", "41 from 3", "41 from 2"]);
}

#[tokio::test]
async fn a_disabled_hook_is_told_once_and_its_jobs_are_found_all_the_same() {
    let world = world();
    hears(&world, PROJECT, T0).await;
    api(&world).put_hooks(PROJECT, our_hook(Alert::Disabled));
    pending(&world, key(1), Millis::secs(300));
    swept(&world, 60, after(130)).await;
    assert_eq!((counted("HooksDisabled"), troubles(), counted("JobsFound")), (1, 1, 1));
    swept(&world, 60, after(4000)).await;
    assert!(api(&world).asked().iter().filter(|call| *call == "hooks 41").count() == 2, "an hour later");
    assert_eq!(counted("HooksDisabled"), 1);
    api(&world).put_hooks(PROJECT, our_hook(Alert::Executable));
    swept(&world, 60, after(8000)).await;
    api(&world).put_hooks(PROJECT, our_hook(Alert::Suspended));
    swept(&world, 60, after(12_000)).await;
    assert_eq!(counted("HooksDisabled"), 2, "it worked in between");
}

#[tokio::test]
async fn a_hook_that_is_silent_while_jobs_wait_is_told_once() {
    let world = world();
    hears(&world, PROJECT, T0).await;
    pending(&world, key(1), Millis::secs(90));
    swept(&world, 60, after(400)).await;
    assert_eq!((counted("JobsFound"), counted("HooksSilent")), (1, 0), "one lost hook is no silence");
    let silent = after(400) + limits::HOOK_SILENCE;
    swept(&world, 60, silent).await;
    swept(&world, 60, silent + Millis::minutes(10)).await;
    assert_eq!((counted("HooksSilent"), troubles()), (1, 1));
    hears(&world, PROJECT, silent + Millis::minutes(11)).await;
    swept(&world, 60, silent + Millis::minutes(21)).await;
    assert!(project(&world, PROJECT).await.unwrap().told.is_empty());
}

#[tokio::test]
async fn a_missing_hook_is_told_of_a_project_of_which_none_came() {
    let world = world();
    named(&world, PROJECT, T0).await;
    api(&world).put_hooks(PROJECT, Vec::new());
    swept(&world, 60, after(1)).await;
    assert_eq!((counted("HooksMissing"), troubles()), (1, 1));
}

#[tokio::test]
async fn who_may_not_see_hooks_knows_nothing_of_them() {
    let world = world();
    named(&world, PROJECT, T0).await;
    api(&world).fail_hooks(Some(403));
    let report = swept(&world, 60, after(1)).await;
    assert_eq!((count(&report, "list.done"), troubles()), (1, 0), "{report:?}");
}

#[tokio::test]
async fn a_refused_token_is_told_and_everything_stays_due() {
    let world = world();
    for id in [1, 2, 3] {
        named(&world, id, T0).await;
    }
    world.hook(1, "unit", "pending", T0).await;
    api(&world).fail(Some(401));
    let report = swept(&world, 60, after(30)).await;
    assert_eq!((counted("ApiTokenRefused"), count(&report, "list.failed"), count(&report, "list.left")), (1, 1, 2));
    assert_eq!(count(&report, "route.done"), 1, "known jobs are launched for");
    assert_eq!(listed(&world).len(), 1, "and GitLab is not asked again in this run");
    assert_eq!(report.listing.unwrap().stopped.as_deref(), Some("GitLab refuses the API token"));
    api(&world).fail(None);
    let report = swept(&world, 60, after(200)).await;
    assert_eq!((count(&report, "list.done"), counted("ApiTokenRefused")), (3, 1));
}

#[tokio::test]
async fn a_gitlab_without_keyset_pages_is_told_by_its_own_name() {
    let world = world();
    named(&world, PROJECT, T0).await;
    api(&world).fail_page(1, 405);
    swept(&world, 60, after(1)).await;
    assert_eq!((counted("ListingUnsupported"), counted("ApiTokenRefused")), (1, 0));
}

#[tokio::test]
async fn a_gitlab_that_does_not_answer_is_left_alone_and_grows_late() {
    let world = world();
    for id in 1..=5 {
        named(&world, id, T0).await;
    }
    api(&world).fail(Some(502));
    let report = swept(&world, 60, after(1)).await;
    assert_eq!((count(&report, "list.failed"), count(&report, "list.left"), listed(&world).len()), (3, 2, 3));
    assert_eq!((counted("ListingBehind"), counted("SweepFailures")), (0, 3));
    let late = after(2) + limits::LISTING_SLACK;
    let report = swept(&world, 60, late).await;
    assert_eq!(counted("ListingBehind"), 1, "{report:?}");
    api(&world).fail(None);
    forget_counts();
    let report = swept(&world, 60, late + limits::VISIT_RETRY).await;
    assert_eq!((count(&report, "list.done"), counted("ListingBehind")), (5, 0), "{report:?}");
}

#[tokio::test]
async fn a_project_that_the_token_may_not_see_is_told_once() {
    let world = world();
    named(&world, PROJECT, T0).await;
    api(&world).hide(PROJECT);
    swept(&world, 60, after(1)).await;
    swept(&world, 60, after(4000)).await;
    assert_eq!((counted("ProjectsUnlisted"), listed(&world).len()), (1, 2));
}

#[tokio::test]
async fn a_job_whose_tags_no_lane_covers_is_counted_once_and_never_launched_for() {
    let world = world();
    named(&world, PROJECT, T0).await;
    pending(&world, key(1), Millis::secs(300));
    let foreign = TagSet::new(["windows"]).unwrap();
    let job = ApiJob {
        key: key(1),
        status: JobStatus::Pending,
        tags: Some(foreign),
        runner: None,
        system_id: None,
        name: "unit".into(),
        stage: String::new(),
        git_ref: String::new(),
        created_at: Some(T0),
    };
    api(&world).put(job);
    for minutes in [1, 4, 8] {
        swept(&world, 60, T0 + Millis::minutes(minutes)).await;
    }
    assert_eq!((counted("JobsNotOurs"), counted("JobsFound"), world.invoker.started().len()), (1, 1, 0));
    assert_eq!(world.job(1).await.state, JobState::NotOurs);
}

#[tokio::test]
async fn the_bound_is_printed_counted_and_an_alarm_when_it_is_too_long() {
    let world = world();
    hears(&world, PROJECT, T0).await;
    let report = swept(&world, 60, after(1)).await;
    let listing = report.listing.unwrap();
    assert_eq!((listing.bound_s, counted("ListingBound"), counted("ListingBehind")), (Some(180), 180, 0));
    for id in 100..130 {
        hears(&world, id, T0).await;
    }
    forget_counts();
    let later = after(1) + limits::CENSUS_EVERY;
    let listing = swept(&world, 4, later).await.listing.unwrap();
    assert!(listing.bound_s > Some(420), "{listing:?}");
    assert_eq!((counted("ListingBehind"), troubles()), (1, 1));
}

#[tokio::test]
async fn a_run_without_time_lists_nothing_and_the_bound_counts_with_what_was_reached() {
    let world = world();
    for id in 1..=20 {
        named(&world, id, T0).await;
    }
    world.clock.set(after(1));
    let report = Lost::default().sweep_until(&world, &rules(), after(16)).await.unwrap();
    assert_eq!((count(&report, "list.left"), api(&world).calls()), (20, 0), "{report:?}");
    assert_eq!((report.listing.unwrap().bound_s, counted("ListingBehind")), (Some(50 * 60), 1));
    forget_counts();
    let report = swept(&world, 60, after(61)).await;
    assert_eq!((count(&report, "list.done"), counted("ListingBehind")), (20, 1), "it is believed again step by step");
    swept(&world, 60, after(1900)).await;
    swept(&world, 60, after(3800)).await;
    forget_counts();
    assert_eq!(swept(&world, 60, after(5700)).await.listing.unwrap().bound_s, Some(32 * 60));
    assert_eq!(counted("ListingBehind"), 0);
}

#[tokio::test]
async fn a_dry_run_says_which_projects_it_would_visit_and_asks_nobody() {
    let world = world();
    named(&world, PROJECT, T0).await;
    pending(&world, key(1), Millis::secs(300));
    let before = world.ledger.items();
    let report = sweep(&world, 60, true, after(9)).await;
    let item = &report.items[0];
    assert_eq!((item.row.as_str(), item.action, &item.result), ("project#41", "list", &Result::Planned));
    assert_eq!(item.reason, "idle, 9 s overdue (acme/widgets)");
    assert_eq!(report.listing.unwrap().bound_s, Some(31 * 60));
    assert_eq!((world.ledger.items(), api(&world).calls(), counted("ListingBound")), (before, 0, 0));
}

#[tokio::test]
async fn nothing_is_listed_without_a_token_or_without_calls() {
    let mut world = world();
    named(&world, PROJECT, T0).await;
    assert_eq!(swept(&world, 0, after(1)).await.listing, None);
    assert_eq!(api(&world).calls(), 0);
    world.api = None;
    assert_eq!(swept(&world, 60, after(1)).await.listing, None);
}

#[tokio::test]
async fn two_sweeps_at_once_find_a_job_once() {
    let world = world();
    named(&world, PROJECT, T0).await;
    pending(&world, key(1), Millis::secs(300));
    tokio::join!(swept(&world, 60, after(1)), swept(&world, 60, after(1)));
    assert_eq!((world.invoker.started().len(), world.job(1).await.attempt), (1, 1));
}

#[tokio::test]
async fn a_projects_row_that_cannot_be_read_is_reported_and_left_alone() {
    let world = world();
    named(&world, PROJECT, T0).await;
    let mut item = world.ledger.items()[&project_pk(PROJECT)].clone();
    item.insert("project_id".into(), json!("many"));
    world.ledger.put(item.clone());
    let report = swept(&world, 60, after(1)).await;
    assert_eq!(report.unreadable, ["project#41"]);
    assert_eq!((&world.ledger.items()[&project_pk(PROJECT)], counted("UnreadableRows")), (&item, 1));
    assert_eq!(item["schema"], json!(SCHEMA));
}
