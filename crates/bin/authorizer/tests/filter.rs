//! What the filter lets through.

use std::collections::HashMap;

use proptest::prelude::*;
use runnerless_authorizer::{Answer, Filtered, Ports, Request, Rules, handle};
use runnerless_aws::fake::{FakeClock, FakeParameters};
use runnerless_aws::ports::Parameters;
use runnerless_aws::{AwsError, ParameterCache};
use runnerless_core::time::{Millis, Timestamp};
use runnerless_gitlab::proof::TokenAlone;
use runnerless_lambda_kit::{Clock as _, SystemClock};
use serde_json::Value;

/// When the requests in `events/authorizer` were sent.
const NOW: Timestamp = Timestamp(1_789_453_600_000);
const TOKEN: &str = "token-of-the-examples";
const SIGNING_TOKEN: &str = "whsec_QEFCQ0RFRkdISUpLTE1OT1BRUlNUVVZXWFlaW1xdXl8=";
const RULES: Rules = Rules { token_alone: TokenAlone::Refused, patience: Millis::secs(60) };

fn event(case: &str) -> Request {
    let path = format!("{}/../../../events/authorizer/{case}.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn secrets(values: &[(&str, &str)]) -> FakeParameters {
    let store = FakeParameters::default();
    for (name, value) in values {
        store.put(&format!("/stack/ingress/{name}"), value);
    }
    store
}

fn token() -> FakeParameters {
    secrets(&[("SecretToken", TOKEN)])
}

fn key() -> FakeParameters {
    secrets(&[("SecretToken", TOKEN), ("SigningToken", SIGNING_TOKEN)])
}

async fn ask(request: &Request, store: &FakeParameters, rules: Rules) -> Answer {
    let cache = ParameterCache::new("/stack/ingress");
    handle(request, &Ports { store, secrets: &cache, clock: &SystemClock }, rules, NOW).await
}

#[tokio::test]
async fn tokens_and_fresh_signatures_pass() {
    assert_eq!(ask(&event("token"), &token(), RULES).await, Answer::let_through(Filtered::Token));
    let previous = secrets(&[("SecretToken", "new"), ("SecretTokenPrevious", TOKEN)]);
    assert_eq!(ask(&event("token"), &previous, RULES).await, Answer::let_through(Filtered::Token));
    assert_eq!(ask(&event("signed"), &key(), RULES).await, Answer::let_through(Filtered::Signature));
    let answer = serde_json::to_value(Answer::let_through(Filtered::Token)).unwrap();
    assert_eq!(answer, serde_json::json!({"isAuthorized": true, "context": {"filter": "token"}}));
}

#[tokio::test]
async fn what_ingest_would_refuse_by_its_head_does_not_pass() {
    for case in ["no-proof", "wrong-token", "empty-signature-beside-the-token"] {
        assert!(!ask(&event(case), &token(), RULES).await.is_authorized, "{case}");
        assert!(!ask(&event(case), &key(), RULES).await.is_authorized, "{case}");
    }
    assert!(!ask(&event("token"), &key(), RULES).await.is_authorized, "a token alone beside a key");
    let allowed = Rules { token_alone: TokenAlone::Allowed, ..RULES };
    assert!(ask(&event("token"), &key(), allowed).await.is_authorized);
    assert!(!ask(&event("token"), &secrets(&[]), RULES).await.is_authorized, "nothing is configured");
    let (store, cache) = (key(), ParameterCache::new("/stack/ingress"));
    let ports = Ports { store: &store, secrets: &cache, clock: &SystemClock };
    assert!(!handle(&event("signed"), &ports, RULES, NOW + Millis::secs(301)).await.is_authorized, "stale");
}

#[tokio::test]
async fn without_its_secrets_it_leaves_everything_to_ingest() {
    let store = token();
    store.fail(true);
    assert_eq!(ask(&event("wrong-token"), &store, RULES).await, Answer::let_through(Filtered::Unread));

    struct Hanging;
    impl Parameters for Hanging {
        async fn below(&self, _: &str) -> Result<HashMap<String, zeroize::Zeroizing<String>>, AwsError> {
            std::future::pending().await
        }
    }
    let cache = ParameterCache::new("/stack/ingress");
    let hurried = Rules { patience: Millis(1), ..RULES };
    let answer =
        handle(&event("no-proof"), &Ports { store: &Hanging, secrets: &cache, clock: &SystemClock }, hurried, NOW)
            .await;
    assert_eq!(answer, Answer::let_through(Filtered::Unread));
}

#[tokio::test]
async fn a_new_token_is_known_at_once_and_strangers_cannot_make_us_read() {
    let (store, cache) = (secrets(&[("SecretToken", "old")]), ParameterCache::new("/stack/ingress"));
    let clock = FakeClock::at(NOW);
    let ports = Ports { store: &store, secrets: &cache, clock: &clock };
    for _ in 0..5 {
        assert!(!handle(&event("token"), &ports, RULES, NOW).await.is_authorized);
    }
    assert_eq!(store.reads(), 1);
    store.put("/stack/ingress/SecretToken", TOKEN);
    clock.set(NOW + Millis::secs(10));
    assert!(handle(&event("token"), &ports, RULES, clock.now()).await.is_authorized);
    assert_eq!(store.reads(), 2);
}

proptest! {
    #[test]
    fn no_head_panics_and_none_passes(
        headers in proptest::collection::hash_map("(x-gitlab-token|webhook-(id|timestamp|signature)|.{0,9})", ".{0,50}", 0..6),
    ) {
        let request: Value = serde_json::json!({"headers": headers, "requestContext": null});
        let request: Request = serde_json::from_value(request).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        prop_assert!(!runtime.block_on(ask(&request, &key(), RULES)).is_authorized);
    }
}
