//! Reading rows.

use runnerless_aws::ports::{Applied, Ledger};
use runnerless_core::change::{Expect, RowKey};
use runnerless_core::id::LaunchId;
use serde_json::json;

use super::{charged, item, job, key, lane, pending, plan, put};

pub async fn rows_survive(ledger: &impl Ledger) {
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

/// More than DynamoDB reads in one batch, and each only once however often it is asked for.
pub async fn many_rows_are_loaded_at_once(ledger: &impl Ledger) {
    let keys: Vec<RowKey> = (1..=130).map(|id| RowKey::Job(key(id))).collect();
    for id in 1..=130 {
        ledger.apply(&pending(id)).await.unwrap();
    }
    let mut doubled = keys.clone();
    doubled.extend(keys);
    assert_eq!(ledger.load(&doubled).await.unwrap().0.len(), 130);
}

pub async fn a_row_that_cannot_be_read_hides_no_other(ledger: &impl Ledger) {
    ledger.apply(&pending(1)).await.unwrap();
    let bad = key(2);
    ledger
        .apply(&plan([put(&bad.pk(), Expect::Absent, &json!({"state": ["no", {"state": true}], "gone": null}))]))
        .await
        .unwrap();
    let rows = ledger.load(&[RowKey::Job(key(1)), RowKey::Job(bad)]).await.unwrap();
    assert!(rows.job(key(1)).unwrap().is_some());
    assert_eq!(rows.job(bad).unwrap_err().pk, bad.pk());
    let stored = item(ledger, &bad.pk()).await.unwrap();
    assert_eq!(stored["state"], json!(["no", {"state": true}]), "it is kept as it is");
    assert!(!stored.contains_key("gone"), "null is absent: {stored:?}");
}
