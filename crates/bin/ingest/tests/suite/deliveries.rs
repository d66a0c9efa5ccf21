//! Hooks that are believed: what they store, what they announce, and that doubles and disorder change nothing.

use crate::support::{Busy, Door, KEY, NOW, Silent, event, signed, with_field};
use futures_util::future::join_all;
use runnerless_aws::AwsError;
use runnerless_aws::book::Book;
use runnerless_aws::ports::{Announcement, Bus, Ledger};
use runnerless_core::id::{LaneId, LaunchId};
use runnerless_core::job::{JobRow, JobState};
use runnerless_core::lane::{Engine, Lane, TagSet};
use runnerless_core::moves::{Announce, Introduction, Start, charge};
use runnerless_core::status::JobStatus;
use runnerless_core::time::Millis;
use runnerless_ingest::{Announced, Ignored, JobOutcome, Outcome, handle};
use runnerless_lambda_kit::SystemClock;
use serde_json::json;

fn job_outcome(outcome: Outcome) -> JobOutcome {
    match outcome {
        Outcome::Job(job) => job,
        other => panic!("{other:?}"),
    }
}

/// What the router does.
async fn charge_it(door: &Door) {
    let ledger = Busy(&door.ledger);
    let lane = Lane { tags: TagSet::default(), engine: Engine::Lambda, target: "arn".into(), run_untagged: true };
    for _ in 0..100 {
        let Some(row) = door.job() else {
            tokio::task::yield_now().await;
            continue;
        };
        let start = Start {
            launch: LaunchId::new("l-1"),
            nonce_sha256: "hash".into(),
            system_id: "r_x".into(),
            request: "{}".into(),
            by_default: false,
            longest: None,
            isolated: false,
        };
        let plan = charge(&row, &lane, start, "test", NOW).unwrap();
        if ledger.apply(&plan).await.unwrap() == runnerless_aws::ports::Applied::All {
            return;
        }
    }
    panic!("the job was never charged");
}

#[tokio::test]
async fn a_waiting_job_is_stored_due_and_announced() {
    let door = Door::with_token();
    assert_eq!(door.answer(&event("job-pending")).await, (200, json!({"result": "recorded"})));
    let row = door.job().unwrap();
    assert_eq!((row.state, &row.gitlab_status, row.rev), (JobState::Waiting, &JobStatus::Pending, 1));
    assert_eq!((row.facts.name.as_str(), row.facts.project_path.as_str()), ("unit 1/2", "acme/widgets"));
    assert!(row.due.next_check_at.is_some(), "the sweep finds it whatever becomes of the announcement");
    assert_eq!(door.bus.announced(), [Announcement { what: Announce::Pending, job: KEY, launch: None }]);
}

#[tokio::test]
async fn a_signed_hook_is_taken_and_so_is_its_repetition() {
    let door = Door::with_key();
    let hook = signed(event("job-pending"), "3b1f0c52-77c1-4d0e-9d1c-52c3a4f5e6d7");
    assert_eq!(door.answer(&hook).await.1, json!({"result": "recorded"}));
    let again = job_outcome(door.take_at(&hook, NOW + Millis::secs(1)).await.unwrap());
    assert!(!again.changed);
    assert_eq!(door.job().unwrap().rev, 1);
}

/// The row is written on condition that there is none; whoever has one is read then.
#[tokio::test]
async fn a_new_job_is_stored_without_a_read_and_a_known_one_is_read_before_it_is_judged() {
    let door = Door::with_token();
    door.take(&event("job-running")).await.unwrap();
    let took = async |case: &str, after: Millis| {
        let before = door.ledger.calls();
        let outcome = door.take_at(&event(case), NOW + after).await.unwrap();
        (door.ledger.calls() - before, job_outcome(outcome).changed)
    };
    let running = door.job().unwrap();
    assert_eq!(took("job-pending", Millis::secs(1)).await, (2, false), "the refused write, and the row");
    assert_eq!(door.job().unwrap(), running);
    let new = Door { noted: door.noted, ..Door::with_token() };
    new.take(&event("job-pending")).await.unwrap();
    assert_eq!((new.ledger.calls(), new.job().unwrap().rev), (1, 1), "its project is noted already");
}

#[tokio::test]
async fn old_gitlabs_and_encoded_bodies_are_read() {
    for case in ["job-pending-old-gitlab", "job-pending-base64"] {
        let door = Door::with_token();
        assert_eq!(door.answer(&event(case)).await.1, json!({"result": "recorded"}), "{case}");
        assert_eq!(door.job().unwrap().facts.project_path, "acme/widgets", "{case}");
    }
}

#[tokio::test]
async fn what_is_authentic_and_not_ours_is_answered_by_2xx_and_stores_nothing() {
    let door = Door::with_token();
    for case in ["pipeline", "job-created", "job-pending-resent-a-month-later", "custom-template"] {
        let (status, body) = door.answer(&event(case)).await;
        assert_eq!((status, &body["result"]), (200, &json!("ignored")), "{case}");
    }
    assert!(door.is_untouched());
    let outcome = door.take(&with_field(event("job-pending"), "build_id", json!("x"))).await.unwrap();
    assert!(matches!(&outcome, Outcome::Ignored(Ignored::Unreadable(bad)) if bad.field() == "build_id"));
    assert_eq!(door.answer(&event("custom-template")).await.1["unreadable"], "object_kind");
    for body in ["", "{", "null", "[\"build\"]"] {
        let mut hook = event("job-pending");
        hook["body"] = body.into();
        assert_eq!(door.answer(&hook).await.0, 200, "{body:?}");
    }
    assert!(door.is_untouched());
}

/// GitLab sends one for every job; no row can need it.
#[tokio::test]
async fn a_job_before_its_pending_costs_no_call() {
    let door = Door::with_token();
    door.ledger.fail(true);
    for status in ["created", "manual", "waiting_for_resource", "brand_new"] {
        let hook = with_field(event("job-created"), "build_status", json!(status));
        let (code, body) = door.answer(&hook).await;
        assert_eq!((code, &body["result"]), (200, &json!("ignored")), "{status}");
    }
    assert_eq!(door.ledger.calls(), 0);
}

#[tokio::test]
async fn every_order_of_a_jobs_hooks_ends_the_same() {
    let mut ends: Vec<(JobState, JobStatus, bool, JobRow)> = Vec::new();
    for order in permutations(&["job-created", "job-pending", "job-running", "job-success"]) {
        let door = Door::with_token();
        for case in &order {
            door.take(&event(case)).await.unwrap();
        }
        let mut row = door.job().unwrap();
        let due = row.due.next_check_at.is_some();
        // How it got there differs; where it stands does not.
        (row.rev, row.times, row.runner) = (0, Default::default(), Some(611));
        ends.push((row.state, row.gitlab_status.clone(), due, row));
    }
    assert_eq!(ends.len(), 24);
    assert_eq!((ends[0].0, &ends[0].1, ends[0].2), (JobState::Ended, &JobStatus::Ended("success"), false));
    assert!(ends.windows(2).all(|pair| pair[0] == pair[1]), "{ends:?}");
}

#[tokio::test]
async fn a_hooks_order_survives_all_of_them_at_once() {
    for order in permutations(&["job-created", "job-pending", "job-running", "job-success"]) {
        let door = Door::with_token();
        let hooks: Vec<_> = order.iter().chain(&order).map(|case| event(case)).collect();
        for outcome in join_all(hooks.iter().map(|hook| door.take(hook))).await {
            outcome.unwrap();
        }
        let row = door.job().unwrap();
        assert_eq!((row.state, row.due.next_check_at), (JobState::Ended, None), "{order:?}");
    }
}

#[tokio::test]
async fn fifty_deliveries_of_one_transition_from_two_hooks_change_the_row_once() {
    let door = Door::with_key();
    let hooks: Vec<_> = (0..50).map(|n| signed(event("job-pending"), &format!("hook{}-{n}", n % 2))).collect();
    // A millisecond apart: the ledger takes two equal rows of one instant for one write whose answer was lost.
    let outcomes = join_all((0..).map(Millis).zip(&hooks).map(|(ms, hook)| door.take_at(hook, NOW + ms))).await;
    let changed = outcomes.into_iter().map(|outcome| job_outcome(outcome.unwrap())).filter(|job| job.changed);
    assert_eq!(changed.count(), 1);
    assert_eq!(door.job().unwrap().rev, 1);
    let at_once = Door::with_key();
    for outcome in join_all(hooks.iter().map(|hook| at_once.take(hook))).await {
        outcome.unwrap();
    }
    assert_eq!(at_once.job().unwrap().rev, 1, "in one instant too");

    charge_it(&door).await;
    let (charged, told) = (door.job().unwrap(), door.bus.announced().len());
    for outcome in join_all(hooks.iter().map(|hook| door.take(hook))).await {
        assert!(!job_outcome(outcome.unwrap()).changed);
    }
    assert_eq!(door.job().unwrap(), charged, "the charge stands");
    assert_eq!(door.bus.announced().len(), told, "a job that is charged is not announced again");
}

#[tokio::test]
async fn the_end_of_a_job_is_announced_with_the_launch_that_has_it() {
    let door = Door::with_token();
    door.take(&event("job-pending")).await.unwrap();
    charge_it(&door).await;
    let book = Book(&door.ledger);
    book.begin(&LaunchId::new("l-1"), "hash", "c", NOW).await.unwrap();
    book.bind(&LaunchId::new("l-1"), KEY, NOW).await.unwrap();
    door.take(&event("job-success")).await.unwrap();
    let told = door.bus.announced().pop().unwrap();
    assert_eq!((told.what, told.launch), (Announce::Finished, Some(LaunchId::new("l-1"))));
}

#[tokio::test]
async fn a_charge_in_the_middle_of_doubles_is_one_charge() {
    let door = Door::with_token();
    let hook = event("job-pending");
    let deliveries = join_all((0..20).map(|_| door.take(&hook)));
    let (outcomes, ()) = futures_util::future::join(deliveries, charge_it(&door)).await;
    assert!(outcomes.iter().all(Result::is_ok));
    let row = door.job().unwrap();
    assert_eq!((row.state, row.attempt, row.rev), (JobState::Charged, 1, 2));
    assert_eq!(row.charge, Some(LaunchId::new("l-1")));
}

#[tokio::test]
async fn a_bus_that_refuses_or_hangs_leaves_the_row_and_a_2xx() {
    let door = Door::with_token();
    door.bus.fail(true);
    assert_eq!(door.answer(&event("job-pending")).await.0, 200);
    assert_eq!(door.job().unwrap().state, JobState::Waiting);
    let again = job_outcome(door.take(&event("job-pending")).await.unwrap());
    assert!(matches!(again.announced, Announced::Failed(_)));
    door.bus.fail(false);
    let again = job_outcome(door.take(&event("job-pending")).await.unwrap());
    assert_eq!(again.announced, Announced::Told(Announce::Pending), "a repeated hook repeats what nobody heard");

    struct Hanging;
    impl Bus for Hanging {
        async fn announce(&self, _: Announcement) -> Result<(), AwsError> {
            std::future::pending().await
        }
    }
    let mut door = Door::with_token();
    door.rules.announce_limit = Millis(1);
    let request = serde_json::from_value(event("job-pending")).unwrap();
    let ports = door.ports(&door.ledger, &Hanging, &door.store, &SystemClock);
    let outcome = handle(&request, &ports, &door.rules, NOW).await.unwrap();
    assert!(matches!(job_outcome(outcome).announced, Announced::Failed(_)));
    assert!(door.job().is_some());
}

#[tokio::test]
async fn gitlab_is_answered_although_nobody_answers_us() {
    let mut door = Door::with_token();
    door.rules.store_limit = Millis(1);
    let request = serde_json::from_value(event("job-pending")).unwrap();
    let ports = door.ports(&door.ledger, &door.bus, &Silent, &SystemClock);
    assert_eq!(handle(&request, &ports, &door.rules, NOW).await.unwrap_err().name(), "Parameters.Unavailable");
    let ports = door.ports(&Silent, &door.bus, &door.store, &SystemClock);
    assert_eq!(handle(&request, &ports, &door.rules, NOW).await.unwrap_err().name(), "Ledger.Unavailable");
    assert!(door.is_untouched());
}

#[tokio::test]
async fn only_a_ledger_that_stored_nothing_makes_an_error() {
    let door = Door::with_token();
    door.ledger.fail(true);
    assert_eq!(door.take(&event("job-pending")).await.unwrap_err().name(), "Ledger.Unavailable");
    door.ledger.fail(false);
    assert!(door.is_untouched(), "nobody hears of a job that is not stored");
    door.ledger.lose_answers(1);
    assert_eq!(door.answer(&event("job-pending")).await.0, 200, "it was stored, and a second look found it");
    assert_eq!((door.job().unwrap().rev, door.bus.announced().len()), (1, 1));
    door.ledger.conflict(3);
    assert_eq!(door.answer(&event("job-running")).await.0, 200);
    assert_eq!(door.job().unwrap().gitlab_status, JobStatus::Running);
}

#[tokio::test]
async fn a_foreign_runners_job_of_the_default_route_is_remembered() {
    let door = Door::with_token();
    door.take(&event("job-pending")).await.unwrap();
    let mut item = door.item(&KEY.pk()).unwrap();
    item.insert("by_default".into(), true.into());
    door.ledger.put(item);
    let outcome = door.take_at(&event("job-running"), NOW + Millis::secs(9)).await.unwrap();
    assert_eq!(job_outcome(outcome).announced, Announced::NotNeeded);
    let learned = runnerless_core::route::learned_pk(KEY.project, "unit 1/2");
    assert!(door.item(&learned).is_none(), "our own binding may be slower than the hook");
    door.take_at(&event("job-success"), NOW + Millis::secs(20)).await.unwrap();
    assert!(door.item(&learned).is_some());
}

fn permutations<'a>(items: &[&'a str]) -> Vec<Vec<&'a str>> {
    if items.is_empty() {
        return vec![vec![]];
    }
    let mut all = Vec::new();
    for (at, first) in items.iter().enumerate() {
        let rest: Vec<&str> = items.iter().enumerate().filter(|(i, _)| *i != at).map(|(_, case)| *case).collect();
        all.extend(permutations(&rest).into_iter().map(|mut tail| {
            tail.insert(0, first);
            tail
        }));
    }
    all
}

#[tokio::test]
async fn a_running_job_of_our_runner_that_nobody_bound_stays_due_and_a_strangers_does_not() {
    for (known, due) in [(611, true), (612, false)] {
        let door = Door::with_token();
        let lane = LaneId::new("lane");
        let said = Introduction { lane: &lane, engine: Engine::Lambda, token: "glrt-lane", runner_id: Some(known) };
        Book(&door.ledger).introduce(said, NOW).await.unwrap();
        door.take(&event("job-pending")).await.unwrap();
        door.take(&event("job-running")).await.unwrap();
        let row = door.job().unwrap();
        assert_eq!((row.state, row.runner, row.due.next_check_at.is_some()), (JobState::Foreign, Some(611), due));
    }
}
