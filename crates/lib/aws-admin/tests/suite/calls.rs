//! What every caller of functions does.
//!
//! The emulator has a name of its own for what a function in Python raises. That the names of our functions' errors come
//! through is shown by `dev/local/tests/long/stack.rs`. The emulator passes on what is no JSON; Lambda refuses it, and so does the
//! stand-in.

use runnerless_aws_admin::ports::{Answered, FunctionCalls, RemoteError};
use serde_json::{Value, json};

/// Runs the suite on a function that gives back what it gets, or fails with a `ValueError` if `fail` is true.
pub async fn all(calls: &impl FunctionCalls, function: &str) {
    for event in
        [json!({"n": 9_007_199_254_740_993_u64, "name": "\u{fc}nit \u{1f980}"}), json!({"dry_run": true}), json!([])]
    {
        let Answered::Value(text) = calls.call(function, &event.to_string()).await.unwrap() else {
            panic!("{event} does not fail")
        };
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), json!({"got": event}));
    }
    // A function that fails has answered: what it said is passed on, and it is no trouble on the way.
    let Answered::Failed { name, message } = calls.call(function, r#"{"fail": true}"#).await.unwrap() else {
        panic!("it fails")
    };
    assert_eq!((name.is_empty(), message.as_str()), (false, "no luck"));
    let missing = calls.call("missing", "{}").await.unwrap_err();
    assert!(matches!(&missing, RemoteError::Missing { what, .. } if what.contains("missing")), "{missing:?}");
}
