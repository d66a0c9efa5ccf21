//! What every reader of the ledger does.

use runnerless_aws_admin::ports::LedgerReader;
use serde_json::{Value, json};

/// Runs the suite on an empty ledger; `put` writes a row.
pub async fn all(ledger: &impl LedgerReader, put: impl AsyncFn(Value)) {
    assert_eq!(ledger.row("job#1#2").await.unwrap(), None);
    put(json!({"pk": "job#1#2", "n": 9_007_199_254_740_993_u64, "tags": ["a"], "gone": null, "deep": {"is": true}}))
        .await;
    let row = ledger.row("job#1#2").await.unwrap().map(Value::Object);
    let wanted = json!({"pk": "job#1#2", "n": 9_007_199_254_740_993_u64, "tags": ["a"], "deep": {"is": true}});
    assert_eq!(row, Some(wanted), "null is absent");
    assert_eq!(ledger.row("job#1#20").await.unwrap(), None);
    assert!(ledger.row("").await.is_err(), "no table has an empty key");
}
