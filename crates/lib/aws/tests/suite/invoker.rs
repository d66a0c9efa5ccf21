//! What every invoker does.
//!
//! The emulator ignores tenants, so that [`tenants`] runs on the stand-in alone: AWS's documentation says that a function
//! that isolates tenants is not invoked without one, and no other with one. That the adapter sends the tenant exactly
//! when there is one is shown in `answers.rs`. A throttled call is shown there, too.

use runnerless_aws::ports::{Invoked, Invoker};

/// A function that is not there, at a place where functions are.
pub const MISSING: &str = "arn:aws:lambda:us-east-1:000000000000:function:missing";

/// Runs the suite on a function that is there and isolates no tenants. `arrived` gives the event that it got next.
pub async fn all(invoker: &impl Invoker, function: &str, arrived: impl AsyncFn() -> String) {
    for payload in [r#"{"launch":"l-1","name":"\u00fcnit \ud83e\udd80","n":9007199254740993}"#, "[]"] {
        assert_eq!(invoker.start(function, payload, None).await.unwrap(), Invoked::Accepted);
        let got: serde_json::Value = serde_json::from_str(&arrived().await).unwrap();
        assert_eq!(got, serde_json::from_str::<serde_json::Value>(payload).unwrap());
    }
    a_missing_function_is_refused(invoker, function).await;
}

/// A refusal is no trouble that passes: the router then uses another row.
async fn a_missing_function_is_refused(invoker: &impl Invoker, there: &str) {
    for function in [MISSING, &format!("{there}:no-such-alias")] {
        let error = invoker.start(function, "{}", None).await.unwrap_err();
        assert_eq!(error.name(), "Invoke.Refused", "{function}: {error:?}");
    }
}

/// Of two functions that are there, the first isolates tenants.
pub async fn tenants(invoker: &impl Invoker, isolating: &str, other: &str) {
    let long = "l".repeat(257);
    for (function, tenant, taken) in [
        (isolating, Some("l-0123456789abcdef0123"), true),
        (isolating, None, false),
        (isolating, Some(""), false),
        (isolating, Some("l#1"), false),
        (isolating, Some(&long[..256]), true),
        (isolating, Some(&long), false),
        (other, None, true),
        (other, Some("l-1"), false),
    ] {
        match invoker.start(function, "{}", tenant).await {
            Ok(invoked) => assert!(taken && invoked == Invoked::Accepted, "{function} {tenant:?}"),
            Err(error) => assert!(!taken && error.name() == "Invoke.Refused", "{function} {tenant:?}: {error:?}"),
        }
    }
}
