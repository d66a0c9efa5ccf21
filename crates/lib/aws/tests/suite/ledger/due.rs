//! The index of what is due.

use runnerless_aws::ports::{DueRow, Ledger};
use runnerless_core::change::{Expect, SHARDS, shard_name};
use runnerless_core::job::{JobEvent, JobFacts};
use runnerless_core::moves::record;
use runnerless_core::status::JobStatus;
use runnerless_core::time::{Millis, Timestamp};
use serde_json::json;

use super::{T0, job, key, pending, plan, put};

pub async fn the_index_holds_what_is_due_and_nothing_else(ledger: &impl Ledger) {
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

pub async fn the_most_urgent_come_first_and_partitions_do_not_mix(ledger: &impl Ledger) {
    let row = |pk: &str, open: &str, at: i64| put(pk, Expect::Absent, &json!({"open": open, "next_check_at": at}));
    let rows = [
        row("learned#3", "lanes", 3_000),
        row("learned#1", "lanes", 1_000),
        row("learned#2", "lanes", 2_000),
        row("learned#-1", "lanes", -5),
        row("learned#other", "lane", 1_500),
        row("learned#else", "lanes2", 1_500),
        put("learned#closed", Expect::Absent, &json!({"next_check_at": 1})),
        put("learned#never", Expect::Absent, &json!({"open": "lanes"})),
    ];
    ledger.apply(&plan(rows)).await.unwrap();
    let due = async |until: i64, limit: usize| -> Vec<(i64, String)> {
        let rows = ledger.due("lanes", Timestamp(until), limit).await.unwrap();
        rows.into_iter().map(|DueRow { at, pk }| (at.0, pk)).collect()
    };
    let all = [(-5, "learned#-1"), (1_000, "learned#1"), (2_000, "learned#2"), (3_000, "learned#3")];
    let all = all.map(|(at, pk)| (at, pk.to_owned()));
    assert_eq!(due(i64::MAX, 100).await, all);
    assert_eq!(due(3_000, 4).await, all, "the bounds are included");
    assert_eq!(due(2_999, 100).await, all[..3]);
    assert_eq!(due(i64::MAX, 2).await, all[..2], "a limit keeps the most urgent");
    assert_eq!(due(i64::MAX, 0).await, []);
    assert_eq!(ledger.due("lane", Timestamp(i64::MAX), 9).await.unwrap().len(), 1);
    assert_eq!(ledger.due("nothing", Timestamp(i64::MAX), 9).await.unwrap(), []);

    // A row that is put off, or changes its partition, is where it belongs and nowhere else.
    let moved = |pk: &str, attributes| put(pk, Expect::Rev(1), &attributes);
    let changes = [
        moved("learned#1", json!({"open": "lanes", "next_check_at": 9_000})),
        moved("learned#2", json!({"open": "lane", "next_check_at": 2_000})),
        moved("learned#3", json!({})),
    ];
    ledger.apply(&plan(changes)).await.unwrap();
    assert_eq!(due(i64::MAX, 100).await, [(-5, "learned#-1".to_owned()), (9_000, "learned#1".to_owned())]);
    assert_eq!(ledger.due("lane", Timestamp(i64::MAX), 9).await.unwrap().len(), 2);
}

/// The index gives a megabyte at once; keys as long as they may be fill one with few rows.
pub async fn more_than_a_page_is_read(ledger: &impl Ledger) {
    const ROWS: usize = 700;
    let long = "x".repeat(2_000);
    let row = |n: usize| {
        let attributes = json!({"open": "many", "next_check_at": 1_000 + n});
        put(&format!("learned#{n:05}#{long}"), Expect::Absent, &attributes)
    };
    for first in (0..ROWS).step_by(100) {
        ledger.apply(&plan((first..first + 100).map(row))).await.unwrap();
    }
    let due = async |limit| ledger.due("many", Timestamp(i64::MAX), limit).await.unwrap();
    let rows = due(10_000).await;
    assert_eq!(rows.len(), ROWS, "every page");
    assert!(rows.is_sorted() && rows[ROWS - 1].at == Timestamp(999) + Millis(700));
    assert_eq!(due(600).await, rows[..600], "a limit beyond the first page");
}
