//! Whole launches against a GitLab on plain sockets and a ledger in memory.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use runnerless_aws::book::Book;
use runnerless_aws::job_token::TokenSeal;
use runnerless_core::event::nonce_sha256;
use runnerless_core::job::JobState;
use runnerless_core::launch::LaunchState;
use runnerless_core::limits;
use runnerless_core::moves::Got;
use runnerless_core::time::{Millis, Timestamp};
use runnerless_executor::{Ended, Error, Mode, Sandbox, Scrub};
use runnerless_lambda_kit::{Named as _, now};
use serde_json::json;
use support::coordinator::status;
use support::{JOB_TOKEN, NONCE, RUNNER_TOKEN, World, job, key, token_parameter};

#[test]
fn a_launch_for_one_job_that_gets_another_binds_and_runs_that() {
    let world = World::new(Some(job(2, &["echo it is $CI_JOB_ID", "env"])));
    world.charged(1, "l-1");
    world.charged(2, "l-2");
    let outcome = world.invoke(world.event("l-1")).unwrap();
    assert_eq!((outcome.outcome, outcome.job.as_deref()), (Ended::Ran, Some("380/2")), "{outcome:?}");

    let (one, two, launch) = (world.job_row(1).unwrap(), world.job_row(2).unwrap(), world.launch_row("l-1"));
    assert_eq!(two.launch.unwrap().as_str(), "l-1");
    assert_eq!((one.state, one.charge.unwrap().as_str()), (JobState::Charged, "l-2"), "the spare launch serves it");
    assert_eq!((launch.state, launch.bound_job, launch.accepted), (LaunchState::Closed, Some(key(2)), true));
    assert!(launch.end_reason.unwrap().contains("job 380/2 is done: success"));

    let log = world.log();
    assert!(log.contains("it is 2\n"), "{log}");
    for secret in [RUNNER_TOKEN, NONCE, "RUNNERLESS_", "AWS_"] {
        assert!(!log.contains(secret), "{secret} reached the job: {log}");
    }
    let ask = world.coordinator.requests().into_iter().find(|request| request.method == "POST").unwrap().json();
    assert_eq!((&ask["system_id"], &ask["info"]["name"]), (&json!("r_lane00000000"), &json!("runnerless-executor")));
}

#[test]
fn a_sentinel_asks_once_and_runs_a_job_that_nobody_told_us_of() {
    let world = World::new(None);
    world.sentinel("l-none");
    let outcome = world.invoke(world.event("l-none")).unwrap();
    assert_eq!((outcome.outcome, world.asks()), (Ended::NoJob, 1), "{outcome:?}");
    assert_eq!(world.launch_row("l-none").state, LaunchState::Closed);
    world.coordinator.add_job(job(7, &["echo found"]));
    world.sentinel("l-found");
    let outcome = world.invoke(world.event("l-found")).unwrap();
    assert_eq!((outcome.outcome, outcome.job.as_deref(), world.asks()), (Ended::Ran, Some("380/7"), 2), "{outcome:?}");
    let row = world.job_row(7).expect("the bind made its row");
    assert_eq!(row.launch.unwrap().as_str(), "l-found");
    let launch = world.launch_row("l-found");
    assert_eq!((launch.state, launch.charged_to, launch.bound_job), (LaunchState::Closed, None, Some(key(7))));
}

#[test]
fn a_process_that_serves_a_second_launch_finds_nothing_of_the_first() {
    let world = World::new(Some(job(1, &["echo left > file", "mkdir -p $HOME/cache", "ls -A $CI_PROJECT_DIR/.."])));
    world.charged(1, "l-1");
    world.charged(2, "l-2");
    assert_eq!(world.invoke(world.event("l-1")).unwrap().outcome, Ended::Ran);
    assert_eq!(std::fs::read_dir(&world.settings.work_root).unwrap().count(), 0, "the folder is removed");
    world.coordinator.add_job(job(2, &["ls -A", "test ! -e file"]));
    let second = world.invoke(world.event("l-2")).unwrap();
    assert_eq!(second.reason.as_deref(), Some("success"), "{}", world.log());
    assert_eq!(std::fs::read_dir(&world.settings.work_root).unwrap().count(), 0);
}

#[test]
fn a_job_that_may_not_be_bound_is_given_back_and_no_line_of_it_runs() {
    let world = World::new(Some(job(2, &["echo must-not-run"])));
    world.charged(1, "l-1");
    world.hook(2, "canceled");
    let outcome = world.invoke(world.event("l-1")).unwrap();
    assert_eq!((outcome.outcome, outcome.job.as_deref()), (Ended::GaveBack, Some("380/2")));
    assert!(world.log().is_empty());
    let last = world.coordinator.puts().pop().unwrap();
    assert_eq!((&last["state"], &last["failure_reason"]), (&json!("failed"), &json!("runner_system_failure")));
    assert_eq!(world.launch_row("l-1").state, LaunchState::Closed);
    assert_eq!(world.job_row(2).unwrap().launch, None);
}

#[test]
fn of_two_deliveries_of_one_event_exactly_one_asks_gitlab() {
    let world = World::new(Some(job(1, &["echo once"])));
    world.charged(1, "l-1");
    let told = std::future::pending::<()>;
    let both = support::block(async {
        let (event, again) = (world.event("l-1"), world.event("l-1"));
        tokio::join!(world.serve(event, told()), world.serve(again, told()))
    });
    let mut ends = [both.0.unwrap().outcome.as_str(), both.1.unwrap().outcome.as_str()];
    ends.sort_unstable();
    assert_eq!((ends, world.asks()), (["gone", "ran"], 1));
    assert_eq!(world.log().matches("\nonce\n").count() + world.log().matches(" once\n").count(), 1, "{}", world.log());
}

#[test]
fn who_does_not_know_the_nonce_changes_nothing() {
    let world = World::new(Some(job(1, &["true"])));
    world.charged(1, "l-1");
    let before = world.ledger.items();
    for (field, value) in [("nonce", "another"), ("launch", "l-9")] {
        let mut event = world.event("l-1");
        event[field] = value.into();
        assert_eq!(world.invoke(event).unwrap().outcome, Ended::Gone, "{field}");
    }
    assert_eq!((world.ledger.items(), world.asks(), world.parameters.reads()), (before, 0, 0));
}

#[test]
fn a_job_whose_launch_counts_as_lost_goes_on() {
    let world = World::new(None);
    let go = world.signal_file();
    let wait = format!("until [ -e {} ]; do sleep 0.05; done", go.display());
    world.coordinator.add_job(job(1, &["echo first", &wait]));
    world.charged(1, "l-1");
    let outcome = world.invoke_beside(world.event("l-1"), |_terminate| {
        world.wait_for_log("first");
        let pk = "launch#l-1";
        let mut lost = world.ledger.items()[pk].clone();
        lost.insert("state".into(), "closed".into());
        lost.insert("rev".into(), 99.into());
        world.ledger.put(lost);
        std::fs::write(&go, "").unwrap();
    });
    assert!(outcome.is_ok(), "{outcome:?}");
    assert_eq!(world.coordinator.puts().pop().unwrap()["state"], "success", "GitLab alone ends an accepted job");
    assert_eq!(world.launch_row("l-1").rev, 99, "a launch that others ended is left as it is");
}

#[test]
fn a_ledger_that_is_out_of_reach_does_not_stop_a_job_and_leaves_its_row_to_the_sweep() {
    let world = World::new(None);
    let go = world.signal_file();
    let wait = format!("until [ -e {} ]; do sleep 0.05; done", go.display());
    world.coordinator.add_job(job(1, &["echo first", &wait, "echo second"]));
    world.charged(1, "l-1");
    let outcome = world.invoke_beside(world.event("l-1"), |_terminate| {
        world.wait_for_log("first");
        world.ledger.fail(true);
        std::fs::write(&go, "").unwrap();
        world.wait_for_log("second");
    });
    assert_eq!(outcome.unwrap().outcome, Ended::Ran);
    world.ledger.fail(false);
    let launch = world.launch_row("l-1");
    assert_eq!((launch.state, launch.due.next_check_at), (LaunchState::Bound, Some(launch.lease_until)));
}

#[test]
fn the_end_of_the_process_ends_the_job_with_a_report() {
    let world = World::new(Some(job(1, &["echo first", "sleep 600"])));
    world.charged(1, "l-1");
    let outcome = world.invoke_beside(world.event("l-1"), |terminate| {
        world.wait_for_log("first");
        terminate.send(()).unwrap();
    });
    assert_eq!(outcome.unwrap().outcome, Ended::Ran);
    let last = world.coordinator.puts().pop().unwrap();
    assert_eq!((&last["state"], &last["failure_reason"]), (&json!("failed"), &json!("runner_system_failure")));
    assert_eq!(world.launch_row("l-1").state, LaunchState::Closed);
}

#[test]
fn a_process_that_must_end_before_it_asked_burns_no_attempt() {
    let world = World::new(Some(job(1, &["true"])));
    world.charged(1, "l-1");
    let outcome = support::block(world.serve(world.event("l-1"), async {}));
    let ended = outcome.unwrap().outcome;
    let row = world.job_row(1).unwrap();
    assert_eq!(row.state, JobState::Waiting);
    match ended {
        Ended::Stopped => assert_eq!(row.fruitless, 0),
        // It asked before it heard of its end: the job was given back, and that is an attempt if it was not bound yet.
        Ended::GaveBack => assert!(row.fruitless <= 1),
        other => panic!("{other:?}"),
    }
    assert_eq!(world.launch_row("l-1").state, LaunchState::Closed);
}

#[test]
fn a_lane_without_a_usable_token_ends_its_launch_by_the_parameters_name() {
    for (token, word) in [("\n", "holds no token"), ("GR1348941abcdefghijklmnop", "registration token")] {
        let world = World::new(Some(job(1, &["true"])));
        world.parameters.put(&token_parameter(), token);
        world.charged(1, "l-1");
        let error = world.invoke(world.event("l-1")).unwrap_err();
        assert_eq!(error.name(), "Executor.NoToken");
        let row = world.job_row(1).unwrap();
        assert_eq!((row.state, row.fruitless, world.asks()), (JobState::Waiting, 1, 0));
        assert!(row.reason.contains(&token_parameter()) && row.reason.contains(word), "{}", row.reason);
    }
}

#[test]
fn a_parameter_store_that_does_not_answer_burns_no_attempt() {
    let world = World::new(Some(job(1, &["true"])));
    world.parameters.fail(true);
    world.charged(1, "l-1");
    assert_eq!(world.invoke(world.event("l-1")).unwrap_err().name(), "Executor.TokenUnread");
    let row = world.job_row(1).unwrap();
    assert_eq!((row.state, row.fruitless, world.asks()), (JobState::Waiting, 0, 0));
}

#[test]
fn what_gitlab_answers_instead_of_a_job_is_the_launchs_reason() {
    for (answer, ended, word, attempts) in [
        (None, Ended::NoJob, "no job", 1),
        (Some(403), Ended::TokenRefused, "RegistrationToken", 1),
        // A GitLab that is down says nothing about the job.
        (Some(500), Ended::Unreachable, "could not be asked", 0),
    ] {
        let world = World::new(None);
        world.coordinator.fault("POST", answer.map(status));
        world.charged(1, "l-1");
        assert_eq!(world.invoke(world.event("l-1")).unwrap().outcome, ended);
        let (row, launch) = (world.job_row(1).unwrap(), world.launch_row("l-1"));
        assert_eq!(
            (row.state, row.fruitless, launch.state),
            (JobState::Waiting, attempts, LaunchState::Closed),
            "{ended:?}"
        );
        assert!(launch.end_reason.unwrap().contains(word), "{ended:?}");
        assert!(row.reason.contains(word), "{}", row.reason);
    }
}

#[test]
fn no_event_leads_to_another_gitlab() {
    let other = support::coordinator::Coordinator::start(Some(job(1, &["true"])));
    let world = World::new(Some(job(1, &["true"])));
    world.charged(1, "l-1");
    let mut event = world.event("l-1");
    event["gitlab_url"] = other.url.clone().into();
    assert_eq!(world.invoke(event).unwrap_err().name(), "Executor.WrongGitLab");
    assert!(world.coordinator.requests().is_empty() && other.requests().is_empty());
    assert_eq!(world.launch_row("l-1").state, LaunchState::Closed);
}

#[test]
fn an_event_that_is_none_and_a_ledger_that_is_away_fail_before_anything_happens() {
    let world = World::new(Some(job(1, &["true"])));
    world.charged(1, "l-1");
    let error = world.invoke(json!({"v": 1, "launch": "l-1"})).unwrap_err();
    assert!(error.to_string().contains("nonce"), "{error}");
    world.ledger.fail(true);
    assert_eq!(world.invoke(world.event("l-1")).unwrap_err().name(), "Executor.NotBegun");
    world.ledger.fail(false);
    assert_eq!((world.launch_row("l-1").state, world.asks()), (LaunchState::Charged, 0));
}

#[test]
fn an_end_that_gitlab_does_not_take_is_our_failure_and_is_owed() {
    let world = World::new(Some(job(1, &["echo first"])));
    world.coordinator.fault("PUT", [status(200), status(404)]);
    world.charged(1, "l-1");
    let error = world.invoke(world.event("l-1")).unwrap_err();
    assert!(matches!(error, Error::NotReported { .. }), "{error}");
    assert!(world.launch_row("l-1").owes_report(), "the sweep tells GitLab that the job failed");
}

#[test]
fn a_job_that_fails_is_a_successful_invocation() {
    let world = World::new(Some(job(1, &["exit 7"])));
    world.charged(1, "l-1");
    let outcome = world.invoke(world.event("l-1")).unwrap();
    assert_eq!(outcome.outcome, Ended::Ran);
    assert!(outcome.reason.unwrap().contains("exit code 7"));
}

#[test]
fn a_job_that_is_longer_than_the_invocation_ends_in_time_and_its_log_names_the_cure() {
    let mut world = World::new(Some(job(1, &["echo first", "sleep 600"])));
    world.time_left = Millis::secs(13);
    world.tenant = Some("l-1".to_owned());
    world.charged(1, "l-1");
    assert_eq!(world.invoke(world.event("l-1")).unwrap().outcome, Ended::Ran);
    let log = world.log();
    assert!(log.contains("what is left of the Lambda invocation") && log.contains("EC2 lane"), "{log}");
    assert_eq!(world.coordinator.puts().pop().unwrap()["state"], "failed");
    assert_eq!(world.launch_row("l-1").state, LaunchState::Closed);
}

#[test]
fn only_an_environment_of_its_own_is_called_disposable() {
    for (tenant, on, off) in [
        (Some("l-1"), "CI_DISPOSABLE_ENVIRONMENT", "CI_SHARED_ENVIRONMENT"),
        (None, "CI_SHARED_ENVIRONMENT", "CI_DISPOSABLE_ENVIRONMENT"),
    ] {
        let mut world = World::new(Some(job(1, &["env | sort"])));
        world.tenant = tenant.map(str::to_owned);
        let mode = if tenant.is_some() { Mode::Tenant } else { Mode::Shared };
        world.settings.sandbox = Sandbox::new(mode, Scrub::default()).unwrap();
        world.charged(1, "l-1");
        assert_eq!(world.invoke(world.event("l-1")).unwrap().outcome, Ended::Ran);
        let log = world.log();
        assert!(log.contains(&format!("{on}=true")) && !log.contains(off), "{tenant:?}: {log}");
    }
}

#[test]
fn a_bound_launch_keeps_its_jobs_token_sealed_and_its_end_erases_it() {
    let world = World::new(None);
    let go = world.signal_file();
    world.coordinator.add_job(job(1, &["echo first", &format!("until [ -e {} ]; do sleep 0.05; done", go.display())]));
    world.charged(1, "l-1");
    let outcome = world.invoke_beside(world.event("l-1"), |_terminate| {
        world.wait_for_log("first");
        let row = world.launch_row("l-1");
        // First of all: a job that waits for it would let a test hang that fails below.
        std::fs::write(&go, "").unwrap();
        let seal = TokenSeal::new(RUNNER_TOKEN, &row.launch).unwrap();
        assert_eq!(seal.open(key(1), &row.job_token.unwrap()).unwrap().as_str(), JOB_TOKEN);
        assert_eq!(row.beat_ms, Some(Millis(60)), "it says how often it gives a sign of life");
        assert!(!format!("{:?}", world.ledger.items()).contains(JOB_TOKEN), "nobody reads it from the table");
    });
    assert_eq!(outcome.unwrap().outcome, Ended::Ran);
    assert_eq!(world.launch_row("l-1").job_token, None);
}

#[test]
fn a_runner_that_waits_for_its_acceptance_gives_signs_of_life() {
    let world = World::new(Some(job(1, &["true"])));
    world.charged(1, "l-1");
    world.coordinator.fault("PUT", [status(503), status(503), status(503)]);
    let outcome = world.invoke_beside(world.event("l-1"), |_terminate| {
        world
            .coordinator
            .wait_for(|requests, _| requests.iter().filter(|request| request.method == "PUT").count() == 3);
        let row = world.launch_row("l-1");
        let granted = row.times.bound_at.unwrap() + limits::HEARTBEAT_LEASE;
        assert!(row.lease_until > granted && !row.accepted, "{row:?}");
    });
    assert_eq!(outcome.unwrap().outcome, Ended::Ran);
}

#[test]
fn a_second_delivery_reports_the_job_of_a_first_that_is_silent_and_leaves_one_that_lives_alone() {
    let world = World::new(None);
    world.charged(1, "l-1");
    let row = world.launch_row("l-1");
    let book = Book(&world.ledger);
    let long_ago = now() - limits::HEARTBEAT_LEASE;
    support::block(async {
        book.begin(&row.launch, &nonce_sha256(NONCE), "first", now()).await.unwrap();
        let job_token = TokenSeal::new(RUNNER_TOKEN, &row.launch).unwrap().seal(key(1), JOB_TOKEN).ok();
        book.bind(&row.launch, Got { job_token, ..Got::from(key(1)) }, now()).await.unwrap();
        book.renew(&row.launch, now()).await.unwrap();
    });
    world.hook(1, "running");
    assert_eq!(world.invoke(world.event("l-1")).unwrap().outcome, Ended::Gone);
    assert!(world.coordinator.puts().is_empty(), "it lives");
    support::block(book.renew(&row.launch, long_ago)).unwrap();
    let outcome = world.invoke(world.event("l-1")).unwrap();
    assert_eq!((outcome.outcome, world.asks()), (Ended::Gone, 0));
    let told = world.coordinator.puts().pop().unwrap();
    assert_eq!((&told["state"], &told["failure_reason"]), (&json!("failed"), &json!("runner_system_failure")));
    assert_eq!((told["token"].as_str(), world.launch_row("l-1").state), (Some(JOB_TOKEN), LaunchState::Closed));
}

#[test]
fn a_report_that_gitlab_puts_off_is_still_owed() {
    let world = World::new(None);
    world.charged(1, "l-1");
    let row = world.launch_row("l-1");
    let book = Book(&world.ledger);
    support::block(async {
        book.begin(&row.launch, &nonce_sha256(NONCE), "first", now()).await.unwrap();
        let job_token = TokenSeal::new(RUNNER_TOKEN, &row.launch).unwrap().seal(key(1), JOB_TOKEN).ok();
        book.bind(&row.launch, Got { job_token, ..Got::from(key(1)) }, now()).await.unwrap();
        book.renew(&row.launch, now() - limits::HEARTBEAT_LEASE).await.unwrap();
    });
    world.hook(1, "running");
    world.coordinator.fault("PUT", [status(503)]);
    assert_eq!(world.invoke(world.event("l-1")).unwrap().outcome, Ended::Gone);
    assert_eq!(world.coordinator.puts().len(), 1);
    assert!(world.launch_row("l-1").owes_report(), "the sweep tells GitLab");
}

#[test]
fn a_job_that_runs_gives_sign_of_life_after_sign_of_life() {
    let world = World::new(None);
    let go = world.signal_file();
    world.coordinator.add_job(job(1, &["echo first", &format!("until [ -e {} ]; do sleep 0.05; done", go.display())]));
    world.charged(1, "l-1");
    let outcome = world.invoke_beside(world.event("l-1"), |_terminate| {
        world.wait_for_log("first");
        let first = world.launch_row("l-1").rev;
        let limit = Instant::now() + Duration::from_secs(20);
        let lives = || world.launch_row("l-1").rev >= first + 3;
        while !lives() && Instant::now() < limit {
            std::thread::yield_now();
        }
        let lived = lives();
        std::fs::write(&go, "").unwrap();
        assert!(lived, "three renewals");
    });
    assert_eq!(outcome.unwrap().outcome, Ended::Ran);
}

#[test]
fn a_begin_whose_answer_is_lost_is_the_same_begin_when_it_is_repeated() {
    let world = World::new(Some(job(1, &["true"])));
    world.charged(1, "l-1");
    world.ledger.lose_answers(1);
    assert_eq!(world.invoke(world.event("l-1")).unwrap().outcome, Ended::Ran);
    assert_eq!(world.asks(), 1);
}

#[test]
fn a_launch_that_became_late_before_it_asked_asks_for_nothing_and_burns_no_attempt() {
    static LOOKS: AtomicU32 = AtomicU32::new(0);
    /// The right time once, and as long as a launch may wait later from then on.
    fn slow() -> Timestamp {
        if LOOKS.fetch_add(1, Ordering::Relaxed) == 0 { now() } else { now() + limits::WAIT }
    }
    let mut world = World::new(Some(job(1, &["true"])));
    world.charged(1, "l-1");
    world.clock = slow;
    let outcome = world.invoke(world.event("l-1")).unwrap();
    assert_eq!((outcome.outcome, world.asks()), (Ended::NoJob, 0));
    let row = world.job_row(1).unwrap();
    assert_eq!((row.state, row.fruitless), (JobState::Waiting, 0));
    assert_eq!(world.launch_row("l-1").state, LaunchState::Closed);
}

#[test]
fn what_an_earlier_job_left_running_is_ended_before_a_shared_environments_next_launch() {
    let world = World::new(Some(job(1, &["true"])));
    world.charged(1, "l-1");
    let mut event = world.event("l-1");
    event["nonce"] = "another".into();
    let mut left = std::process::Command::new("sleep").arg("600").spawn().unwrap();
    assert_eq!(world.invoke(event).unwrap().outcome, Ended::Gone, "no job ends it");
    let ended = left.try_wait().map_or(true, |status| status.is_some());
    let _ = left.kill();
    let _ = left.wait();
    assert!(ended, "it runs on");
}

#[test]
fn a_lane_asks_once_as_which_runner_it_asks_and_again_when_its_token_is_another() {
    let world = World::new(None);
    let verified = || {
        let requests = world.coordinator.requests();
        requests.iter().filter(|request| request.path == "/api/v4/runners/verify").count()
    };
    let mut n = 0;
    let mut launch = || {
        n += 1;
        world.charged(n, &format!("l-{n}"));
        assert_eq!(world.invoke(world.event(&format!("l-{n}"))).unwrap().outcome, Ended::NoJob);
    };
    launch();
    assert_eq!(verified(), 0, "the ledger knows it");
    world.parameters.put(&token_parameter(), "glrt-t3_another");
    launch();
    launch();
    assert_eq!(verified(), 1);
    assert_eq!(world.ledger.items()["runner#7"]["lane"].as_str(), Some(support::lane().id().as_str()));
}

#[test]
fn without_an_environment_of_its_own_a_launch_is_refused_before_anything_happens() {
    let mut world = World::new(Some(job(1, &["true"])));
    world.settings.sandbox = Sandbox::new(Mode::Tenant, Scrub::default()).unwrap();
    world.charged(1, "l-1");
    let before = world.ledger.items();
    for (tenant, name, cure) in
        [(None, "Executor.NoTenant", "ExecutorSandbox"), (Some("l-2"), "Executor.WrongTenant", "tenant id of its own")]
    {
        world.tenant = tenant.map(str::to_owned);
        let error = world.invoke(world.event("l-1")).unwrap_err();
        assert_eq!(error.name(), name);
        assert!(error.to_string().contains(cure), "{error}");
    }
    assert_eq!((world.ledger.items(), world.asks(), world.parameters.reads()), (before, 0, 0));
}

#[test]
fn a_shared_environment_is_scrubbed_before_the_next_launch_begins() {
    let mut world = World::new(Some(job(1, &["true"])));
    let shared = tempfile::tempdir().unwrap();
    let root = runnerless_engine::ScrubRoot::new(shared.path()).unwrap();
    world.settings.sandbox = Sandbox::new(Mode::Shared, Scrub { roots: vec![root], ipc: false }).unwrap();
    world.charged(1, "l-1");
    std::fs::write(shared.path().join("left-by-an-earlier-job"), "x").unwrap();
    assert_eq!(world.invoke(world.event("l-1")).unwrap().outcome, Ended::Ran);
    let left: Vec<_> = std::fs::read_dir(shared.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, [".runnerless-launch"], "only the word that a launch runs here");
    support::block(world.settings.sandbox.leave()).unwrap();
    assert_eq!(std::fs::read_dir(shared.path()).unwrap().count(), 0);
}

#[test]
fn a_descriptor_that_the_process_was_started_with_is_not_the_jobs() {
    let world = World::new(Some(job(1, &["ls -l /proc/self/fd /proc/$$/fd", "echo listed"])));
    let open = tempfile::NamedTempFile::new().unwrap();
    // A duplicate is inherited by whatever is started, unless something is done about it.
    let inherited = rustix::io::dup(&open).unwrap();
    world.charged(1, "l-1");
    assert_eq!(world.invoke(world.event("l-1")).unwrap().outcome, Ended::Ran);
    let log = world.log();
    assert!(log.contains("listed\n") && log.contains("/dev/fd") | log.contains("pipe:["), "{log}");
    assert!(!log.contains(open.path().file_name().unwrap().to_str().unwrap()), "{log}");
    drop(inherited);
}
