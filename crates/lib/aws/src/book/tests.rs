//! The moves over a ledger in memory.

use runnerless_core::change::{Plan, RowKey, put};
use runnerless_core::id::{JobKey, LaunchId};
use runnerless_core::job::{JobEvent, JobFacts, JobRow, JobState};
use runnerless_core::lane::{Engine, Lane, TagSet};
use runnerless_core::launch::{LaunchRow, LaunchState};
use runnerless_core::moves::{BindRefused, End, Evidence, RenewRefused, Settlement, Start, charge, record};
use runnerless_core::status::JobStatus;
use runnerless_core::time::{Millis, Timestamp};

use super::{Book, Concluded, MoveError, Pair};
use crate::fake::FakeLedger;
use crate::ports::Ledger as _;

const T0: Timestamp = Timestamp(1_789_373_730_000);

fn key(job: u64) -> JobKey {
    JobKey { project: 1, job }
}

fn id(text: &str) -> LaunchId {
    LaunchId::new(text)
}

async fn charged(ledger: &FakeLedger, job: u64, launch: &str) {
    let event = JobEvent {
        key: key(job),
        status: JobStatus::Pending,
        facts: JobFacts::default(),
        created_at: Some(T0),
        runner: None,
    };
    ledger.apply(&record(None, &event, T0).plan).await.unwrap();
    let row = ledger.load(&[RowKey::Job(key(job))]).await.unwrap().job(key(job)).unwrap().unwrap();
    let lane = Lane { tags: TagSet::default(), engine: Engine::Lambda, target: "arn".into(), run_untagged: true };
    let start = Start {
        launch: id(launch),
        nonce_sha256: "hash".into(),
        system_id: "r_x".into(),
        request: "{}".into(),
        isolated: false,
        by_default: false,
        longest: None,
    };
    ledger.apply(&charge(&row, &lane, start, "test", T0).unwrap()).await.unwrap();
}

async fn job(ledger: &FakeLedger, job: u64) -> JobRow {
    ledger.load(&[RowKey::Job(key(job))]).await.unwrap().job(key(job)).unwrap().unwrap()
}

#[tokio::test]
async fn a_launch_that_gets_another_job_leaves_its_own_to_the_others_launch() {
    let ledger = FakeLedger::default();
    charged(&ledger, 1, "l-1").await;
    charged(&ledger, 2, "l-2").await;
    let book = Book(&ledger);
    book.begin(&id("l-1"), "hash", "c", T0).await.unwrap();
    book.bind(&id("l-1"), key(2), T0).await.unwrap();
    assert_eq!(job(&ledger, 2).await.launch, Some(id("l-1")));
    assert_eq!(job(&ledger, 1).await.charge, Some(id("l-2")), "the spare launch serves the first job");
    assert_eq!(book.launch(&id("l-2")).await.unwrap().unwrap().charged_to, Some(key(1)));
    book.conclude(&id("l-1"), &End::JobDone("done".into()), T0).await.unwrap();
    assert_eq!(job(&ledger, 1).await.state, JobState::Charged, "the end of one touches the other in nothing");
}

#[tokio::test]
async fn a_launch_and_the_job_that_it_is_about_are_one_read() {
    let ledger = FakeLedger::default();
    charged(&ledger, 1, "l-1").await;
    charged(&ledger, 2, "l-2").await;
    let (book, end) = (Book(&ledger), End::JobDone("done".into()));
    for (own, launch, about, reads) in [(1, "l-1", 1, 1), (2, "l-2", 1, 2)] {
        let (launch, about) = (id(launch), Some(key(about)));
        let earlier = book.pair(&launch, Some(key(own))).await.unwrap().unwrap();
        assert!(earlier.job_that_names_it(key(own)).unwrap().is_some());
        book.begin(&launch, "hash", "c", T0).await.unwrap();
        let bound = book.bind(&launch, key(own), T0).await.unwrap();
        let torn = Pair { launch: bound.clone(), ..earlier };
        assert_eq!(torn.job_that_names_it(key(own)).unwrap(), None, "its row is older than the binding");
        assert_eq!(Some(bound), book.launch(&launch).await.unwrap(), "as it stands");
        let before = ledger.calls();
        book.conclude_about(&launch, about, &end, T0).await.unwrap();
        assert_eq!(ledger.calls() - before, reads + 1, "{launch}: a wrong guess costs a read");
        assert_eq!(book.launch(&launch).await.unwrap().unwrap().state, LaunchState::Closed);
    }
    assert!(job(&ledger, 2).await.due.next_check_at.is_some_and(|at| at > T0), "of its own job, not of the guess");
}

#[tokio::test]
async fn a_conflict_is_decided_again_and_a_lost_answer_is_no_refusal() {
    let ledger = FakeLedger::default();
    charged(&ledger, 1, "l-1").await;
    let book = Book(&ledger);
    ledger.conflict(2);
    book.begin(&id("l-1"), "hash", "c", T0).await.unwrap();
    ledger.lose_answers(1);
    assert!(book.bind(&id("l-1"), key(1), T0).await.is_err());
    book.bind(&id("l-1"), key(1), T0).await.unwrap();
    assert_eq!(book.launch(&id("l-1")).await.unwrap().unwrap().state, LaunchState::Bound);
}

#[tokio::test]
async fn a_sign_of_life_after_another_is_one_write_and_one_that_meets_somebody_elses_is_decided_anew() {
    let ledger = FakeLedger::default();
    charged(&ledger, 1, "l-1").await;
    let (book, l1, at) = (Book(&ledger), id("l-1"), |secs| T0 + Millis::secs(secs));
    book.begin(&l1, "hash", "c", T0).await.unwrap();
    let bound = book.bind(&l1, key(1), T0).await.unwrap();
    let before = ledger.calls();
    let alive = book.alive_from(&l1, Some(bound.clone()), at(10)).await.unwrap();
    let renewed = book.renew_from(&l1, Some(alive.clone()), at(20)).await.unwrap();
    assert_eq!(ledger.calls() - before, 2);
    assert_eq!((alive.accepted, renewed.accepted, renewed.rev), (false, true, bound.rev + 2));
    assert_eq!(book.launch(&l1).await.unwrap(), Some(renewed.clone()));
    // The sweep took it for lost meanwhile.
    let gone = LaunchRow { state: LaunchState::Closed, rev: renewed.rev, ..renewed.clone() };
    ledger.apply(&Plan::default().with_some(put(Some(&renewed), gone))).await.unwrap();
    // Also where there would be nothing to write, or something to refuse, by what is known.
    let polling = LaunchRow { state: LaunchState::Polling, ..renewed.clone() };
    for (known, now) in [(renewed.clone(), at(30)), (renewed, at(20)), (polling, at(30))] {
        let refused = book.renew_from(&l1, Some(known), now).await;
        let closed = RenewRefused::NotBound(LaunchState::Closed);
        assert!(matches!(&refused, Err(MoveError::Refused(why)) if *why == closed), "{refused:?}");
    }
}

#[tokio::test]
async fn a_bind_and_a_close_exclude_each_other() {
    let ledger = FakeLedger::default();
    charged(&ledger, 1, "l-1").await;
    let book = Book(&ledger);
    book.begin(&id("l-1"), "hash", "c", T0).await.unwrap();
    book.close(&id("l-1"), Evidence::HostGone, "gone", T0).await.unwrap();
    assert!(matches!(book.bind(&id("l-1"), key(1), T0).await, Err(MoveError::Refused(BindRefused::NotPolling(_)))));
}

#[tokio::test]
async fn the_launch_in_vain_that_is_one_too_many_is_said() {
    let ledger = FakeLedger::default();
    charged(&ledger, 1, "l-1").await;
    let book = Book(&ledger);
    let row = JobRow { fruitless: 2, rev: 3, ..job(&ledger, 1).await };
    ledger.apply(&Plan::default().with_some(put(Some(&job(&ledger, 1).await), row))).await.unwrap();
    let end = End::Fruitless("no job came".into());
    assert_eq!(book.conclude(&id("l-1"), &end, T0).await.unwrap(), Concluded::LeavesUnserved(key(1)));
    assert_eq!(book.conclude(&id("l-1"), &end, T0).await.unwrap(), Concluded::WasOver);
}

#[tokio::test]
async fn what_is_not_there_is_said() {
    let ledger = FakeLedger::default();
    let book = Book(&ledger);
    assert!(matches!(book.begin(&id("l-9"), "h", "c", T0).await, Err(MoveError::NoLaunch(_))));
    assert_eq!(book.conclude(&id("l-9"), &End::Fruitless("x".into()), T0).await.unwrap(), Concluded::WasOver);
    assert!(matches!(book.settle(key(9), T0).await.unwrap(), Settlement::Nothing(_)));
}
