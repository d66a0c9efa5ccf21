//! Rows of lanes and runners.

use runnerless_aws::book::Book;
use runnerless_aws::ports::{Applied, DueRow, Ledger};
use runnerless_core::change::RowKey;
use runnerless_core::id::{LaneId, LaunchId};
use runnerless_core::lane::Engine;
use runnerless_core::lane_row::{LANES, LaneRow, lane_pk};
use runnerless_core::moves::{Introduction, forgotten, introduced, sentinel, verified};
use runnerless_core::route::Learned;
use runnerless_core::time::Millis;

use super::{T0, key, lane, start_of};

fn said<'a>(lane: &'a LaneId, token: &'a str, id: u64) -> Introduction<'a> {
    Introduction { lane, engine: Engine::Lambda, token, runner_id: Some(id) }
}

pub async fn own_runners_are_found_by_lane_and_by_id(ledger: &impl Ledger) {
    let id = lane().id();
    let keys = [RowKey::Lane(id.clone()), RowKey::Runner(7), RowKey::Runner(8)];
    assert!(ledger.load(&keys).await.unwrap().lane(&id).unwrap().is_none());
    Book(ledger).introduce(said(&id, "glrt-old", 8), T0).await.unwrap();
    Book(ledger).introduce(said(&id, "glrt-new", 7), T0).await.unwrap();
    let rows = ledger.load(&keys).await.unwrap();
    let row = rows.lane(&id).unwrap().expect("the lane has a row");
    assert!(row.knows("glrt-new") && row.runner_id == Some(7) && row.rev == 2, "{row:?}");
    assert!(rows.is_ours(7) && rows.is_ours(8) && !rows.is_ours(9), "an earlier runner was ours too");
    let due = ledger.due(LANES, T0, 10).await.unwrap();
    assert_eq!(due, [DueRow { at: T0, pk: format!("lane#{id}") }], "in the lanes' own partition");
}

pub async fn who_learns_of_a_lanes_runner_erases_nothing_of_its_row(ledger: &impl Ledger) {
    let id = lane().id();
    let load = async || ledger.load(&[RowKey::Lane(id.clone())]).await.unwrap().lane(&id).unwrap();
    ledger.apply(&verified(None, None, said(&id, "glrt-a", 8), Some(Millis::minutes(10)), T0)).await.unwrap();
    let row = load().await.expect("the lane has a row");
    let start = start_of("l-s");
    let book = Book(ledger);
    let sent = sentinel(&row, &lane(), start, Millis::minutes(10), T0);
    let (one, other) = tokio::join!(ledger.apply(&sent), book.introduce(said(&id, "glrt-b", 9), T0));
    other.unwrap();
    let applied = one.unwrap();
    let row = load().await.expect("the lane has a row");
    assert!(row.knows("glrt-b"));
    assert_eq!(row.sentinel.is_some(), applied == Applied::All, "whole, or not at all");
    let launch = Book(ledger).launch(&LaunchId::new("l-s")).await.unwrap();
    assert_eq!(launch.map(|launch| launch.charged_to), (applied == Applied::All).then_some(None));
}

pub async fn a_row_of_a_release_that_kept_no_revision_is_written_once(ledger: &impl Ledger) {
    let id = lane().id();
    let old = LaneRow::new(id.clone(), Engine::Lambda);
    let (one, other) = (introduced(Some(&old), None, said(&id, "glrt-a", 8), T0), forgotten(&old, "unmapped", T0));
    assert_eq!(ledger.apply(&other).await.unwrap(), Applied::Conflict, "there is no row");
    // What is learned is kept without a revision: as good as any such row.
    ledger.learn(&Learned { pk: lane_pk(&id), ..Learned::new(key(1), "deploy", T0) }).await.unwrap();
    assert_eq!(ledger.apply(&one).await.unwrap(), Applied::All);
    assert_eq!(ledger.apply(&other).await.unwrap(), Applied::Conflict, "it has a revision now");
}
