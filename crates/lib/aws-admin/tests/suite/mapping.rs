//! What every mapping table does for its operator.
//!
//! Types that DynamoDB has and our JSON has not (sets, bytes) are the adapter's own unit tests.

use std::future::Future;

use runnerless_aws_admin::ports::{Applied, MapChange, MappingStore, RemoteError, TRANSACTION};
use runnerless_core::change::Item;
use serde_json::{Value, json};

/// Runs the suite, each part on a fresh table.
pub async fn all<M: MappingStore, F: Future<Output = M>>(fresh: impl Fn() -> F) {
    rows_are_created_changed_and_deleted(&fresh().await).await;
    a_row_that_somebody_changed_is_a_conflict_and_nothing_is_written(&fresh().await).await;
    a_change_with_both_sides_alike_only_checks(&fresh().await).await;
    every_page_is_read(&fresh().await).await;
    what_no_table_takes_is_an_error(&fresh().await).await;
}

/// A table that is not there is no empty table.
pub async fn that_is_not_there(table: &impl MappingStore) {
    let missing = |error: &RemoteError| matches!(error, RemoteError::Missing { .. });
    assert!(missing(&table.all().await.unwrap_err()));
    assert!(missing(&table.apply(&[create(row("job#a", json!({})))]).await.unwrap_err()));
}

fn row(pk: &str, more: Value) -> Item {
    let Value::Object(mut item) = more else { panic!("no object: {more}") };
    item.insert("pk".into(), pk.into());
    item.insert("sk".into(), "tags#".into());
    item
}

fn create(item: Item) -> MapChange {
    MapChange { before: None, after: Some(item) }
}

fn change(before: &Item, after: &Item) -> MapChange {
    MapChange { before: Some(before.clone()), after: Some(after.clone()) }
}

fn delete(before: &Item) -> MapChange {
    MapChange { before: Some(before.clone()), after: None }
}

async fn rows(table: &impl MappingStore) -> Vec<Item> {
    let mut rows = table.all().await.unwrap();
    rows.sort_by_key(|item| item["pk"].as_str().unwrap().to_owned());
    rows
}

async fn rows_are_created_changed_and_deleted(table: &impl MappingStore) {
    assert!(rows(table).await.is_empty());
    assert_eq!(table.apply(&[]).await.unwrap(), Applied::All);
    let (one, two) = (row("job#a", json!({"arn": "1", "tags": ["x", {"deep": true}]})), row("job#b", json!({"n": 1})));
    assert_eq!(table.apply(&[create(one.clone()), create(two.clone())]).await.unwrap(), Applied::All);
    assert_eq!(rows(table).await, [one.clone(), two.clone()]);
    let changed = row("job#a", json!({"arn": "2", "added": "x"}));
    assert_eq!(table.apply(&[change(&one, &changed), delete(&two)]).await.unwrap(), Applied::All);
    assert_eq!(rows(table).await, [changed]);
}

async fn a_row_that_somebody_changed_is_a_conflict_and_nothing_is_written(table: &impl MappingStore) {
    let (one, two) = (row("job#a", json!({"arn": "1"})), row("job#b", json!({"arn": "1"})));
    table.apply(&[create(one.clone()), create(two.clone())]).await.unwrap();
    let other = row("job#b", json!({"arn": "of somebody"}));
    let more = row("job#b", json!({"arn": "1", "note": "of somebody"}));
    let less = row("job#b", json!({}));
    for broken in [
        create(two.clone()),
        change(&other, &two),
        change(&more, &two),
        change(&less, &two),
        delete(&other),
        change(&other, &other),
    ] {
        let changes = [delete(&one), broken.clone(), create(row("job#c", json!({})))];
        assert_eq!(table.apply(&changes).await.unwrap(), Applied::Conflict, "{broken:?}");
    }
    let gone = row("job#z", json!({}));
    assert_eq!(table.apply(&[delete(&gone)]).await.unwrap(), Applied::Conflict, "there is no such row");
    assert_eq!(rows(table).await, [one, two]);
}

async fn a_change_with_both_sides_alike_only_checks(table: &impl MappingStore) {
    let (one, two) = (row("job#a", json!({"arn": "1"})), row("job#b", json!({"arn": "1"})));
    table.apply(&[create(one.clone())]).await.unwrap();
    assert_eq!(table.apply(&[change(&one, &one), create(two.clone())]).await.unwrap(), Applied::All);
    assert_eq!(rows(table).await, [one, two]);
}

/// More than a megabyte.
async fn every_page_is_read(table: &impl MappingStore) {
    let long = "x".repeat(300_000);
    for n in 0..5 {
        table.apply(&[create(row(&format!("job#{n}"), json!({"note": long})))]).await.unwrap();
    }
    assert_eq!(rows(table).await.len(), 5);
}

async fn what_no_table_takes_is_an_error(table: &impl MappingStore) {
    let one = row("job#a", json!({}));
    let many = |n: usize| (0..n).map(|n| create(row(&format!("job#{n}"), json!({})))).collect::<Vec<_>>();
    let no_keys: Item = [("type".to_owned(), "LAMBDA".into())].into_iter().collect();
    for (what, changes) in [
        ("too many", many(TRANSACTION + 1)),
        ("no keys", vec![create(no_keys)]),
        ("a change of nothing", vec![MapChange { before: None, after: None }]),
        ("two changes of one row", vec![create(one.clone()), create(one.clone())]),
        ("another row's key", vec![change(&one, &row("job#b", json!({})))]),
        ("a large row", vec![create(row("job#a", json!({"note": "x".repeat(400 * 1024)})))]),
    ] {
        match table.apply(&changes).await {
            // A change of keys names a row that is not as it was read, because it is not there.
            Ok(applied) => assert!(applied == Applied::Conflict && what == "another row's key", "{what}: {applied:?}"),
            Err(error) => assert!(matches!(error, RemoteError::Failed { .. }), "{what}: {error:?}"),
        }
        assert!(rows(table).await.is_empty(), "{what}");
    }
    assert_eq!(table.apply(&many(TRANSACTION)).await.unwrap(), Applied::All, "as many as there may be");
}
