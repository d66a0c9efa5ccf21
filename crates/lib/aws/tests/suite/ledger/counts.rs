//! Counts, and rows that are no part of a move.

use runnerless_aws::book::Book;
use runnerless_aws::ports::{Applied, Ledger};
use runnerless_core::change::RowKey;
use runnerless_core::drain::{Draining, drain};
use runnerless_core::id::LaunchId;
use runnerless_core::moves::End;
use runnerless_core::route::Learned;
use runnerless_core::time::Millis;

use super::{T0, charged, job, key, lane, live, pending};

/// Of the lane, and of the stack.
async fn counted(ledger: &impl Ledger) -> (u64, u64) {
    let live = live(ledger).await;
    (live.lane, live.stack)
}

pub async fn counts_follow_launches(ledger: &impl Ledger) {
    assert_eq!(counted(ledger).await, (0, 0));
    for id in 1..=3 {
        ledger.apply(&pending(id)).await.unwrap();
        let row = job(ledger, id).await;
        ledger.apply(&charged(&row, &format!("l-{id}"))).await.unwrap();
    }
    Book(ledger).conclude(&LaunchId::new("l-2"), &End::Fruitless("x".into()), T0).await.unwrap();
    assert_eq!(counted(ledger).await, (2, 2));
}

pub async fn what_did_not_happen_is_not_counted(ledger: &impl Ledger) {
    ledger.apply(&pending(1)).await.unwrap();
    let row = job(ledger, 1).await;
    assert_eq!(ledger.apply(&charged(&row, "l-1")).await.unwrap(), Applied::All);
    assert_eq!(ledger.apply(&charged(&row, "l-2")).await.unwrap(), Applied::Conflict);
    assert_eq!(counted(ledger).await, (1, 1));
}

pub async fn a_recount_replaces_all_counts(ledger: &impl Ledger) {
    let counts = [(lane().id().to_string(), 3), ("another".to_owned(), 4), ("stack".to_owned(), 7)];
    ledger.recount(&counts).await.unwrap();
    assert_eq!(counted(ledger).await, (3, 7));
    ledger.apply(&pending(1)).await.unwrap();
    let row = job(ledger, 1).await;
    ledger.apply(&charged(&row, "l-1")).await.unwrap();
    assert_eq!(counted(ledger).await, (4, 8), "launches are added to what was counted");
    ledger.recount(&[("stack".to_owned(), 2)]).await.unwrap();
    assert_eq!(counted(ledger).await, (0, 2), "a lane that was not counted has none");
    // A launch that ends after it was not counted: no count is less than none.
    ledger.recount(&[]).await.unwrap();
    Book(ledger).conclude(&LaunchId::new("l-1"), &End::Fruitless("x".into()), T0).await.unwrap();
    assert_eq!(counted(ledger).await, (0, 0));
}

pub async fn a_stack_that_drains_says_so_beside_its_counts(ledger: &impl Ledger) {
    let draining = async || live(ledger).await.draining;
    assert_eq!(draining().await, None);
    let row = async || ledger.load(&[RowKey::Drain]).await.unwrap().drain().unwrap();
    let write = async |how, at| ledger.apply(&drain(row().await.as_ref(), how, at)).await.unwrap();
    write(Some(Draining::Wait), T0).await;
    ledger.recount(&[("stack".to_owned(), 2)]).await.unwrap();
    assert_eq!(draining().await, Some(Draining::Wait), "a recount says nothing of it");
    assert_eq!(live(ledger).await.stack, 2);
    write(Some(Draining::Now), T0 + Millis::secs(1)).await;
    assert_eq!((draining().await, row().await.unwrap().since), (Some(Draining::Now), T0));
    write(None, T0 + Millis::secs(2)).await;
    assert_eq!(draining().await, None);
}

pub async fn what_is_learned_is_found(ledger: &impl Ledger) {
    let learned = Learned::new(key(1), "deploy 1/2", T0);
    ledger.learn(&learned).await.unwrap();
    ledger.learn(&learned).await.unwrap();
    let rows = ledger.load(&[RowKey::Learned(learned.pk.clone())]).await.unwrap();
    assert_eq!(rows.learned(&learned.pk), Some(learned.clone()));
    let later = Learned::new(key(1), "deploy 2/2", T0 + Millis::minutes(9));
    assert_eq!(later.pk, learned.pk, "the same base name");
    ledger.learn(&later).await.unwrap();
    let rows = ledger.load(&[RowKey::Learned(learned.pk.clone())]).await.unwrap();
    assert_eq!(rows.learned(&learned.pk), Some(later), "over what was learned before");
}
