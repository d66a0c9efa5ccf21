//! What every ledger does.
//!
//! On AWS the index `due` follows its table with a moment's delay, and reads of it are eventually consistent; neither the
//! emulator nor the table in memory shows that. The sweep reads each row again before it acts, so that a late index only
//! delays.

mod counts;
mod due;
mod lanes;
mod pools;
mod reads;
mod writes;

use std::future::Future;

use runnerless_aws::ports::Ledger;
use runnerless_core::change::{Change, Expect, Item, Plan, RowKey, Write};
use runnerless_core::id::{JobKey, LaunchId};
use runnerless_core::job::{JobEvent, JobFacts, JobRow};
use runnerless_core::lane::{Engine, Lane, TagSet};
use runnerless_core::live::Live;
use runnerless_core::moves::{Start, charge, record};
use runnerless_core::status::JobStatus;
use runnerless_core::time::Timestamp;
use serde_json::Value;

const T0: Timestamp = Timestamp(1_789_373_730_000);

/// Runs the suite, each part on a fresh ledger.
pub async fn all<L: Ledger, F: Future<Output = L>>(fresh: impl Fn() -> F) {
    reads::rows_survive(&fresh().await).await;
    reads::many_rows_are_loaded_at_once(&fresh().await).await;
    reads::a_row_that_cannot_be_read_hides_no_other(&fresh().await).await;
    writes::of_two_writes_on_one_revision_one_wins(&fresh().await).await;
    writes::of_many_writers_each_revision_has_one(&fresh().await).await;
    writes::a_stale_write_of_one_row_is_a_conflict(&fresh().await).await;
    writes::a_transaction_is_whole_or_nothing(&fresh().await).await;
    writes::a_check_that_fails_in_the_middle_undoes_all(&fresh().await).await;
    writes::a_check_writes_nothing(&fresh().await).await;
    writes::repeating_an_applied_plan_is_no_conflict_only_for_its_writer(&fresh().await).await;
    writes::what_no_table_takes_is_refused(&fresh().await).await;
    due::the_index_holds_what_is_due_and_nothing_else(&fresh().await).await;
    due::the_most_urgent_come_first_and_partitions_do_not_mix(&fresh().await).await;
    due::more_than_a_page_is_read(&fresh().await).await;
    counts::counts_follow_launches(&fresh().await).await;
    counts::what_did_not_happen_is_not_counted(&fresh().await).await;
    counts::a_recount_replaces_all_counts(&fresh().await).await;
    counts::a_stack_that_drains_says_so_beside_its_counts(&fresh().await).await;
    counts::what_is_learned_is_found(&fresh().await).await;
    lanes::own_runners_are_found_by_lane_and_by_id(&fresh().await).await;
    lanes::who_learns_of_a_lanes_runner_erases_nothing_of_its_row(&fresh().await).await;
    lanes::a_row_of_a_release_that_kept_no_revision_is_written_once(&fresh().await).await;
    pools::of_two_runs_that_saw_the_same_one_acts(&fresh().await).await;
    pools::a_run_that_read_before_another_wrote_leaves(&fresh().await).await;
}

/// Runs what is about answers that get lost; `lose` loses that of the next write.
pub async fn answers<L: Ledger, F: Future<Output = L>>(fresh: impl Fn() -> F, lose: impl AsyncFn(&L)) {
    writes::a_lost_answer_is_found_out(&fresh().await, &lose).await;
    pools::a_run_whose_answer_was_lost_knows_its_own_row(&fresh().await, &lose).await;
}

/// Runs what is about two processes that write to one table.
pub async fn processes(one: &impl Ledger, other: &impl Ledger) {
    writes::of_two_that_write_the_same_one_wins(one, other).await;
    let row = item(one, "learned#a").await.unwrap();
    let names: Vec<&str> = row.keys().map(String::as_str).collect();
    assert_eq!(names, ["asked_at", "pk", "rev"], "who wrote a row is nothing that it says");
}

fn key(job: u64) -> JobKey {
    JobKey { project: 41, job }
}

fn lane() -> Lane {
    Lane { tags: TagSet::new(["a", "b"]).unwrap(), engine: Engine::Lambda, target: "arn".into(), run_untagged: true }
}

async fn live(ledger: &impl Ledger) -> Live {
    ledger.load(&RowKey::ROOM).await.unwrap().live(&lane().id())
}

fn pending(job: u64) -> Plan {
    let facts = JobFacts { name: "ünit 🦀".into(), ..JobFacts::default() };
    let event = JobEvent { key: key(job), status: JobStatus::Pending, facts, created_at: Some(T0), runner: None };
    record(None, &event, T0).plan
}

async fn job(ledger: &impl Ledger, id: u64) -> JobRow {
    ledger.load(&[RowKey::Job(key(id))]).await.unwrap().job(key(id)).unwrap().expect("the row is there")
}

fn start_of(launch: &str) -> Start {
    Start {
        launch: LaunchId::new(launch),
        nonce_sha256: "hash".into(),
        system_id: "r_0123456789ab".into(),
        request: r#"{"nonce":"n"}"#.into(),
        isolated: true,
        by_default: false,
        longest: None,
    }
}

fn charged(row: &JobRow, launch: &str) -> Plan {
    charge(row, &lane(), start_of(launch), "because", T0).unwrap()
}

/// A row of no kind, with these attributes beside its key and its revision.
fn put(pk: &str, expect: Expect, attributes: &Value) -> Change {
    let mut item: Item = attributes.as_object().cloned().unwrap_or_default();
    let rev = match expect {
        Expect::Absent => 1,
        Expect::Rev(rev) => rev + 1,
    };
    item.insert("pk".into(), pk.into());
    item.entry("rev").or_insert(rev.into());
    Change { pk: pk.to_owned(), expect, write: Write::Put(item) }
}

fn plan(changes: impl IntoIterator<Item = Change>) -> Plan {
    Plan { changes: changes.into_iter().collect(), reason: "test".to_owned() }
}

/// A row as it is stored.
async fn item(ledger: &impl Ledger, pk: &str) -> Option<Item> {
    ledger.load(&[RowKey::Learned(pk.to_owned())]).await.unwrap().0.remove(pk)
}
