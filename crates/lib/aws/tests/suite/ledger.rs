//! What every ledger does.

use std::future::Future;

use runnerless_aws::book::Book;
use runnerless_aws::ports::{Applied, Ledger};
use runnerless_core::change::{Plan, RowKey, SHARDS, shard_name};
use runnerless_core::id::{JobKey, LaunchId};
use runnerless_core::job::{JobEvent, JobFacts, JobRow};
use runnerless_core::lane::{Engine, Lane, TagSet};
use runnerless_core::moves::{End, Start, charge, record};
use runnerless_core::own::OwnRunner;
use runnerless_core::route::Learned;
use runnerless_core::status::JobStatus;
use runnerless_core::time::{Millis, Timestamp};

const T0: Timestamp = Timestamp(1_789_373_730_000);

/// Runs the suite, each part on a fresh ledger.
pub async fn all<L: Ledger, F: Future<Output = L>>(fresh: impl Fn() -> F) {
    rows_survive(&fresh().await).await;
    of_two_writes_on_one_revision_one_wins(&fresh().await).await;
    a_stale_write_of_one_row_is_a_conflict(&fresh().await).await;
    a_transaction_is_whole_or_nothing(&fresh().await).await;
    repeating_an_applied_plan_is_no_conflict_only_for_its_writer(&fresh().await).await;
    the_index_holds_what_is_due_and_nothing_else(&fresh().await).await;
    many_rows_are_loaded_at_once(&fresh().await).await;
    counts_follow_launches(&fresh().await).await;
    what_is_learned_is_found(&fresh().await).await;
    own_runners_are_found_by_lane_and_by_id(&fresh().await).await;
}

fn key(job: u64) -> JobKey {
    JobKey { project: 41, job }
}

fn lane() -> Lane {
    Lane { tags: TagSet::new(["a", "b"]).unwrap(), engine: Engine::Lambda, target: "arn".into(), run_untagged: true }
}

fn pending(job: u64) -> Plan {
    let facts = JobFacts { name: "ünit 🦀".into(), ..JobFacts::default() };
    let event = JobEvent { key: key(job), status: JobStatus::Pending, facts, created_at: Some(T0), runner: None };
    record(None, &event, T0).plan
}

async fn job(ledger: &impl Ledger, id: u64) -> JobRow {
    ledger.load(&[RowKey::Job(key(id))]).await.unwrap().job(key(id)).unwrap().expect("the row is there")
}

fn charged(row: &JobRow, launch: &str) -> Plan {
    let start = Start {
        launch: LaunchId::new(launch),
        nonce_sha256: "hash".into(),
        system_id: "r_0123456789ab".into(),
        request: r#"{"nonce":"n"}"#.into(),
        isolated: true,
        by_default: false,
    };
    charge(row, &lane(), start, "because", T0).unwrap()
}

async fn rows_survive(ledger: &impl Ledger) {
    assert!(ledger.load(&[RowKey::Job(key(1))]).await.unwrap().0.is_empty(), "no row is no error");
    // Beyond 2^53, where numbers that pass through floats break.
    let big = 9_007_199_254_740_993;
    assert_eq!(ledger.apply(&pending(big)).await.unwrap(), Applied::All);
    let row = job(ledger, big).await;
    assert_eq!((row.job_id, row.facts.name.as_str(), row.rev), (big, "ünit 🦀", 1));
    assert_eq!(ledger.apply(&charged(&row, "l-1")).await.unwrap(), Applied::All);
    let id = LaunchId::new("l-1");
    let rows = ledger.load(&[RowKey::Launch(id.clone()), RowKey::Job(key(big))]).await.unwrap();
    let launch = rows.launch(&id).unwrap().expect("the launch is there");
    assert_eq!((launch.charged_to, launch.lane_tags, launch.isolated), (Some(key(big)), lane().tags, true));
    assert_eq!(rows.job(key(big)).unwrap().unwrap().charge, Some(id));
}

async fn of_two_writes_on_one_revision_one_wins(ledger: &impl Ledger) {
    let plan = pending(1);
    let (one, other) = tokio::join!(ledger.apply(&plan), ledger.apply(&plan));
    // Both wrote the same, and neither can tell whose it was: the row is theirs. That is what a lost answer needs.
    assert_eq!((one.unwrap(), other.unwrap()), (Applied::All, Applied::All));
    let row = job(ledger, 1).await;
    let (one, other) = (charged(&row, "l-1"), charged(&row, "l-2"));
    let (one, other) = tokio::join!(ledger.apply(&one), ledger.apply(&other));
    let won: Vec<_> = [one.unwrap(), other.unwrap()].into_iter().filter(|applied| *applied == Applied::All).collect();
    assert_eq!(won.len(), 1, "exactly one charge");
    assert_eq!(job(ledger, 1).await.attempt, 1);
}

async fn a_stale_write_of_one_row_is_a_conflict(ledger: &impl Ledger) {
    ledger.apply(&pending(1)).await.unwrap();
    let row = job(ledger, 1).await;
    let ended = |status| {
        let facts = JobFacts::default();
        let event = JobEvent { key: key(1), status: JobStatus::Ended(status), facts, created_at: None, runner: None };
        record(Some(&row), &event, T0).plan
    };
    assert_eq!(ended("canceled").changes.len(), 1, "one row: no transaction");
    assert_eq!(ledger.apply(&ended("canceled")).await.unwrap(), Applied::All);
    let written = job(ledger, 1).await;
    assert_eq!(ledger.apply(&ended("success")).await.unwrap(), Applied::Conflict);
    assert_eq!(job(ledger, 1).await, written, "the later row stands");
}

async fn a_transaction_is_whole_or_nothing(ledger: &impl Ledger) {
    ledger.apply(&pending(1)).await.unwrap();
    let row = job(ledger, 1).await;
    ledger.apply(&charged(&row, "l-1")).await.unwrap();
    let stale = charged(&row, "l-2");
    assert_eq!(ledger.apply(&stale).await.unwrap(), Applied::Conflict);
    assert!(Book(ledger).launch(&LaunchId::new("l-2")).await.unwrap().is_none(), "no half of it is written");
    assert_eq!(ledger.apply(&Plan::because("nothing")).await.unwrap(), Applied::All);
}

async fn repeating_an_applied_plan_is_no_conflict_only_for_its_writer(ledger: &impl Ledger) {
    ledger.apply(&pending(1)).await.unwrap();
    let row = job(ledger, 1).await;
    let plan = charged(&row, "l-1");
    assert_eq!(ledger.apply(&plan).await.unwrap(), Applied::All);
    assert_eq!(ledger.apply(&plan).await.unwrap(), Applied::All, "its answer might have been lost");
    let id = LaunchId::new("l-1");
    Book(ledger).conclude(&id, &End::Fruitless("x".into()), T0).await.unwrap();
    assert_eq!(ledger.apply(&plan).await.unwrap(), Applied::Conflict, "the rows went on");
}

async fn the_index_holds_what_is_due_and_nothing_else(ledger: &impl Ledger) {
    for id in 1..=40 {
        ledger.apply(&pending(id)).await.unwrap();
    }
    let at = job(ledger, 1).await.due.next_check_at.expect("a waiting job is due");
    let due = async |until: Timestamp, limit: usize| {
        let mut rows = Vec::new();
        for shard in 0..SHARDS {
            rows.extend(ledger.due(&shard_name(shard), until, limit).await.unwrap());
        }
        rows
    };
    assert!(due(at - Millis(1), 100).await.is_empty());
    let rows = due(at, 100).await;
    assert_eq!(rows.len(), 40);
    assert!(rows.iter().all(|row| row.at == at && row.pk.starts_with("job#41#")));
    assert!(due(at, 1).await.len() <= 16, "at most one of each shard");
    let row = job(ledger, 1).await;
    let gone = JobEvent {
        key: key(1),
        status: JobStatus::Ended("canceled"),
        facts: JobFacts::default(),
        created_at: None,
        runner: None,
    };
    ledger.apply(&record(Some(&row), &gone, T0).plan).await.unwrap();
    assert_eq!(due(at, 100).await.len(), 39, "a row with nothing left to do leaves the index");
}

async fn many_rows_are_loaded_at_once(ledger: &impl Ledger) {
    let keys: Vec<RowKey> = (1..=130).map(|id| RowKey::Job(key(id))).collect();
    for id in 1..=130 {
        ledger.apply(&pending(id)).await.unwrap();
    }
    let mut doubled = keys.clone();
    doubled.extend(keys);
    assert_eq!(ledger.load(&doubled).await.unwrap().0.len(), 130);
}

async fn counts_follow_launches(ledger: &impl Ledger) {
    let live = async || ledger.live(&lane().id()).await.unwrap();
    assert_eq!((live().await.lane, live().await.stack), (0, 0));
    for id in 1..=3 {
        ledger.apply(&pending(id)).await.unwrap();
        let row = job(ledger, id).await;
        ledger.apply(&charged(&row, &format!("l-{id}"))).await.unwrap();
    }
    Book(ledger).conclude(&LaunchId::new("l-2"), &End::Fruitless("x".into()), T0).await.unwrap();
    assert_eq!((live().await.lane, live().await.stack), (2, 2));
    ledger.recount(&[("stack".to_owned(), 7)]).await.unwrap();
    assert_eq!((live().await.lane, live().await.stack), (0, 7));
}

async fn what_is_learned_is_found(ledger: &impl Ledger) {
    let learned = Learned::new(key(1), "deploy 1/2", T0);
    ledger.learn(&learned).await.unwrap();
    ledger.learn(&learned).await.unwrap();
    let rows = ledger.load(&[RowKey::Learned(learned.pk.clone())]).await.unwrap();
    assert_eq!(rows.learned(&learned.pk), Some(learned));
}

async fn own_runners_are_found_by_lane_and_by_id(ledger: &impl Ledger) {
    let id = lane().id();
    let keys = [RowKey::Lane(id.clone()), RowKey::Runner(7), RowKey::Runner(8)];
    assert!(ledger.load(&keys).await.unwrap().own_runner(&id).is_none());
    ledger.know(&OwnRunner::new(8, id.clone(), "glrt-old", T0)).await.unwrap();
    let own = OwnRunner::new(7, id.clone(), "glrt-new", T0);
    ledger.know(&own).await.unwrap();
    let rows = ledger.load(&keys).await.unwrap();
    assert_eq!(rows.own_runner(&id), Some(own));
    assert!(rows.is_ours(7) && rows.is_ours(8) && !rows.is_ours(9), "an earlier runner was ours too");
}
