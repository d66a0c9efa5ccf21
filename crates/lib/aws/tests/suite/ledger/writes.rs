//! Conditional writes, alone and together.

use runnerless_aws::book::Book;
use runnerless_aws::ports::{Applied, Ledger};
use runnerless_core::change::{Change, Expect, Plan, Write};
use runnerless_core::id::LaunchId;
use runnerless_core::job::{JobEvent, JobFacts};
use runnerless_core::moves::{End, record};
use runnerless_core::status::JobStatus;
use serde_json::json;

use super::{T0, charged, item, job, key, live, pending, plan, put};

pub async fn of_two_writes_on_one_revision_one_wins(ledger: &impl Ledger) {
    let plan = pending(1);
    let (one, other) = tokio::join!(ledger.apply(&plan), ledger.apply(&plan));
    // One process wrote the same twice, and cannot tell which of the two it was. That is what a lost answer needs.
    assert_eq!((one.unwrap(), other.unwrap()), (Applied::All, Applied::All));
    let row = job(ledger, 1).await;
    let (one, other) = (charged(&row, "l-1"), charged(&row, "l-2"));
    let (one, other) = tokio::join!(ledger.apply(&one), ledger.apply(&other));
    let won: Vec<_> = [one.unwrap(), other.unwrap()].into_iter().filter(|applied| *applied == Applied::All).collect();
    assert_eq!(won.len(), 1, "exactly one charge");
    assert_eq!(job(ledger, 1).await.attempt, 1);
}

pub async fn a_stale_write_of_one_row_is_a_conflict(ledger: &impl Ledger) {
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

pub async fn a_transaction_is_whole_or_nothing(ledger: &impl Ledger) {
    ledger.apply(&pending(1)).await.unwrap();
    let row = job(ledger, 1).await;
    ledger.apply(&charged(&row, "l-1")).await.unwrap();
    let stale = charged(&row, "l-2");
    assert_eq!(ledger.apply(&stale).await.unwrap(), Applied::Conflict);
    assert!(Book(ledger).launch(&LaunchId::new("l-2")).await.unwrap().is_none(), "no half of it is written");
    assert_eq!(ledger.apply(&Plan::because("nothing")).await.unwrap(), Applied::All);
}

pub async fn repeating_an_applied_plan_is_no_conflict_only_for_its_writer(ledger: &impl Ledger) {
    ledger.apply(&pending(1)).await.unwrap();
    let row = job(ledger, 1).await;
    let plan = charged(&row, "l-1");
    assert_eq!(ledger.apply(&plan).await.unwrap(), Applied::All);
    assert_eq!(ledger.apply(&plan).await.unwrap(), Applied::All, "its answer might have been lost");
    let id = LaunchId::new("l-1");
    Book(ledger).conclude(&id, &End::Fruitless("x".into()), T0).await.unwrap();
    assert_eq!(ledger.apply(&plan).await.unwrap(), Applied::Conflict, "the rows went on");
}

/// Two processes decide the same upon the same row in the same millisecond: what follows of it is for one of them to do.
pub async fn of_two_that_write_the_same_one_wins(one: &impl Ledger, other: &impl Ledger) {
    one.apply(&pending(1)).await.unwrap();
    let alone = || plan([put("learned#a", Expect::Absent, &json!({"asked_at": 5}))]);
    let together = charged(&job(one, 1).await, "l-1");
    for plan in [alone(), together] {
        let (first, second) = tokio::join!(one.apply(&plan), other.apply(&plan));
        let (first, second) = (first.unwrap(), second.unwrap());
        assert!((first == Applied::All) != (second == Applied::All), "{first:?} {second:?} {plan:?}");
        let again = (one.apply(&plan).await.unwrap(), other.apply(&plan).await.unwrap());
        assert_eq!(again, (first, second), "whoever says it again hears the same");
    }
}

/// Eight writers add one each, twenty times: none is lost, and none is done twice.
pub async fn of_many_writers_each_revision_has_one(ledger: &impl Ledger) {
    const PK: &str = "learned#counter";
    ledger.apply(&plan([put(PK, Expect::Absent, &json!({"sum": 0}))])).await.unwrap();
    let writer = async |who: u64| {
        let mut added = 0;
        while added < 20 {
            let row = item(ledger, PK).await.unwrap();
            let (rev, sum) = (row["rev"].as_u64().unwrap(), row["sum"].as_u64().unwrap());
            // As every plan that matters: no two writers write the same row.
            let next = put(PK, Expect::Rev(rev), &json!({"sum": sum + 1, "by": format!("{who}-{added}")}));
            added += u64::from(ledger.apply(&plan([next])).await.unwrap() == Applied::All);
        }
    };
    tokio::join!(writer(1), writer(2), writer(3), writer(4), writer(5), writer(6), writer(7), writer(8));
    let row = item(ledger, PK).await.unwrap();
    assert_eq!((row["sum"].as_u64(), row["rev"].as_u64()), (Some(160), Some(161)));
}

pub async fn a_check_that_fails_in_the_middle_undoes_all(ledger: &impl Ledger) {
    let old = |pk: &str| put(pk, Expect::Absent, &json!({"is": "old"}));
    for pk in ["learned#a", "learned#b", "learned#c"] {
        ledger.apply(&plan([old(pk)])).await.unwrap();
    }
    let new = |pk: &str, rev: u64| put(pk, Expect::Rev(rev), &json!({"is": "new"}));
    let check = |expect| Change { pk: "learned#b".to_owned(), expect, write: Write::Check };
    for broken in [check(Expect::Rev(2)), check(Expect::Absent), new("learned#b", 7)] {
        let changes = [new("learned#a", 1), broken, new("learned#c", 1), old("learned#d")];
        assert_eq!(ledger.apply(&plan(changes)).await.unwrap(), Applied::Conflict);
    }
    for pk in ["learned#a", "learned#b", "learned#c"] {
        assert_eq!(item(ledger, pk).await.unwrap()["is"], "old", "{pk}");
    }
    assert!(item(ledger, "learned#d").await.is_none());
    let changes = [new("learned#a", 1), check(Expect::Rev(1)), new("learned#c", 1), old("learned#d")];
    assert_eq!(ledger.apply(&plan(changes)).await.unwrap(), Applied::All);
    assert_eq!(item(ledger, "learned#c").await.unwrap()["is"], "new");
}

pub async fn a_check_writes_nothing(ledger: &impl Ledger) {
    let check = |expect| plan([Change { pk: "learned#a".to_owned(), expect, write: Write::Check }]);
    assert_eq!(ledger.apply(&check(Expect::Absent)).await.unwrap(), Applied::All);
    assert!(item(ledger, "learned#a").await.is_none());
    // A row without a revision is there, and its revision is none, which is written 0.
    ledger.apply(&plan([put("learned#a", Expect::Absent, &json!({"rev": null}))])).await.unwrap();
    for expect in [Expect::Absent, Expect::Rev(1)] {
        assert_eq!(ledger.apply(&check(expect)).await.unwrap(), Applied::Conflict, "{expect:?}");
    }
    assert_eq!(ledger.apply(&check(Expect::Rev(0))).await.unwrap(), Applied::All);
}

pub async fn a_lost_answer_is_found_out<L: Ledger>(ledger: &L, lose: &impl AsyncFn(&L)) {
    let repeated = async |plan: &Plan| {
        lose(ledger).await;
        // Who says it again by itself hears that it was done; who does not, hears nothing, and says it again.
        if let Ok(applied) = ledger.apply(plan).await {
            assert_eq!(applied, Applied::All);
        } else {
            assert_eq!(ledger.apply(plan).await.unwrap(), Applied::All);
        }
    };
    repeated(&pending(1)).await;
    let row = job(ledger, 1).await;
    repeated(&charged(&row, "l-1")).await;
    assert_eq!(job(ledger, 1).await.attempt, 1);
    assert_eq!(live(ledger).await.stack, 1, "counted once");
}

/// What a programming mistake or a user's data could make of a plan: never half of it, and never a trouble that passes.
pub async fn what_no_table_takes_is_refused(ledger: &impl Ledger) {
    let fine = || put("learned#fine", Expect::Absent, &json!({}));
    let bad = |pk: &str, attributes| put(pk, Expect::Absent, &attributes);
    let (long, large) = ("k".repeat(2049), "x".repeat(400 * 1024));
    for (what, changes) in [
        ("two changes of one row", vec![fine(), bad("learned#a", json!({})), bad("learned#a", json!({"n": 1}))]),
        ("an empty key", vec![fine(), bad("", json!({}))]),
        ("an empty key alone", vec![bad("", json!({}))]),
        ("a long key", vec![fine(), bad(&long, json!({}))]),
        ("a large row", vec![fine(), bad("learned#a", json!({"text": large}))]),
        ("a large row alone", vec![bad("learned#a", json!({"text": large}))]),
        ("a partition that is no text", vec![fine(), bad("learned#a", json!({"open": 1, "next_check_at": 1}))]),
        ("a partition that is no text, alone", vec![bad("learned#a", json!({"open": 1, "next_check_at": 1}))]),
        ("an empty partition", vec![bad("learned#a", json!({"open": "", "next_check_at": 1}))]),
        ("a time that is no number", vec![bad("learned#a", json!({"open": "s", "next_check_at": "1"}))]),
        ("too many changes", (0..101).map(|n| bad(&format!("learned#{n}"), json!({}))).collect()),
    ] {
        let error = ledger.apply(&plan(changes)).await.map(|applied| panic!("{what}: {applied:?}")).unwrap_err();
        assert_eq!(error.name(), "Ledger.Refused", "{what}: {error:?}");
        assert!(item(ledger, "learned#fine").await.is_none(), "{what}");
        assert!(item(ledger, "learned#a").await.is_none(), "{what}");
    }
    let most = (0..100).map(|n| bad(&format!("learned#{n}"), json!({})));
    assert_eq!(ledger.apply(&plan(most)).await.unwrap(), Applied::All, "as many as there may be");
}
