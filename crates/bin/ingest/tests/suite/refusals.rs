//! Requests that are not believed change nothing, and what they are told says nothing.

use crate::support::{Door, NOW, SIGNING_TOKEN, TOKEN, event, signed, with_field, with_header, without_header};
use runnerless_core::time::Millis;
use runnerless_gitlab::proof::{Refusal, TokenAlone};
use runnerless_ingest::{Ignored, Outcome, Rejected};
use serde_json::{Value, json};

async fn refused(door: &Door, event: &Value, status: u16) -> Rejected {
    let (got, body) = door.answer(event).await;
    assert_eq!((got, body), (status, json!({"result": "refused"})), "{}", event["headers"]);
    match door.take(event).await.unwrap() {
        Outcome::Rejected(rejected) => rejected,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn without_the_right_proof_nothing_changes() {
    let door = Door::with_token();
    for case in ["no-proof", "doubled-token", "empty-signature-beside-the-token"] {
        refused(&door, &event(case), 401).await;
    }
    for token in ["", " ", "guess", &TOKEN[..TOKEN.len() - 1], &format!("{TOKEN} ")] {
        refused(&door, &with_header(event("job-pending"), "x-gitlab-token", token), 401).await;
    }
    let mut twice = event("job-pending");
    twice["headers"]["X-Gitlab-Token"] = TOKEN.into();
    refused(&door, &twice, 401).await;
    assert!(door.is_untouched());
}

#[tokio::test]
async fn a_signature_counts_alone_and_for_its_bytes_only() {
    let door = Door::with_key();
    refused(&door, &event("job-pending"), 401).await;
    let hook = signed(event("job-pending"), "a");
    for header in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
        refused(&door, &without_header(hook.clone(), header), 401).await;
        for bad in ["", "v1,", "x", "v1,AAAA"] {
            let forged = with_header(hook.clone(), header, bad);
            refused(&door, &with_header(forged, "x-gitlab-token", TOKEN), 401).await;
        }
        let doubled = format!("{0},{0}", hook["headers"][header].as_str().unwrap());
        refused(&door, &with_header(hook.clone(), header, &doubled), 401).await;
    }
    refused(&door, &with_field(hook.clone(), "build_id", json!(1)), 401).await;
    let mut spaced = hook.clone();
    spaced["body"] = format!("{} ", hook["body"].as_str().unwrap()).into();
    refused(&door, &spaced, 401).await;
    let late = door.take_at(&hook, NOW + Millis::secs(301)).await.unwrap();
    assert!(matches!(late, Outcome::Rejected(Rejected::Unproved(Refusal::Stale(301)))));
    assert!(door.is_untouched());
}

#[tokio::test]
async fn a_token_beside_a_key_is_taken_only_when_allowed() {
    let mut door = Door::with_key();
    door.rules.token_alone = TokenAlone::Allowed;
    assert_eq!(door.answer(&event("job-pending")).await.0, 200);
    refused(&door, &event("empty-signature-beside-the-token"), 401).await;
}

#[tokio::test]
async fn what_is_not_for_us_is_turned_away_before_the_proof() {
    let door = Door::with_token();
    let mut get = event("job-pending");
    get["requestContext"]["http"]["method"] = "GET".into();
    assert_eq!(refused(&door, &get, 405).await, Rejected::Method);
    let mut elsewhere = event("job-pending");
    elsewhere["rawPath"] = "/admin".into();
    assert_eq!(refused(&door, &elsewhere, 404).await, Rejected::Path);
    let mut large = event("job-pending");
    large["body"] = "x".repeat(5 * 1024 * 1024 + 1).into();
    assert_eq!(refused(&door, &large, 413).await, Rejected::TooLarge);
    let mut broken = event("job-pending");
    broken["isBase64Encoded"] = true.into();
    assert_eq!(refused(&door, &broken, 400).await, Rejected::Encoding);
    assert_eq!(door.store.reads(), 0, "nobody reads secrets for these");
    assert!(door.is_untouched());
}

#[tokio::test]
async fn another_gitlabs_hook_changes_nothing_and_does_not_make_it_switch_the_hook_off() {
    let door = Door::with_token();
    let foreign = door.take(&event("foreign-instance")).await.unwrap();
    assert!(matches!(foreign, Outcome::Ignored(Ignored::ForeignInstance)), "{foreign:?}");
    for bad in ["", "gitlab.acme.example", "https://gitlab.acme.example,https://gitlab.acme.example"] {
        let hook = with_header(event("job-pending"), "x-gitlab-instance", bad);
        assert_eq!(door.answer(&hook).await.0, 200, "it is authentic");
    }
    let twice = with_header(event("job-pending"), "X-Gitlab-Instance", "https://gitlab.acme.example");
    assert_eq!(door.answer(&twice).await.0, 200);
    assert!(door.is_untouched());
    assert_eq!(door.answer(&without_header(event("job-pending"), "x-gitlab-instance")).await.0, 200);
}

#[tokio::test]
async fn a_bound_credential_speaks_for_its_projects_only() {
    let door = Door::without_secrets();
    door.store.put("/stack/ingress/hooks/acme/SecretToken", TOKEN);
    door.store.put("/stack/ingress/hooks/acme/Prefixes", "acme\nother/group");
    assert_eq!(door.answer(&event("job-pending")).await.0, 200);
    let stored = door.ledger.items();
    for path in ["acme-labs/widgets", "widgets/acme", ""] {
        let hook = with_field(event("job-success"), "project", json!({"path_with_namespace": path}));
        let hook = with_field(hook, "repository", Value::Null);
        assert!(matches!(refused(&door, &hook, 403).await, Rejected::OutOfScope(_)), "{path:?}");
    }
    assert_eq!(door.ledger.items(), stored);
}

#[tokio::test]
async fn a_bound_credential_cannot_end_the_job_of_another_project_by_its_ids() {
    let door = Door::with_token();
    assert_eq!(door.answer(&event("job-pending")).await.0, 200);
    let stored = door.ledger.items();
    let bound = Door { ledger: door.ledger, ..Door::without_secrets() };
    bound.store.put("/stack/ingress/hooks/mallory/SecretToken", TOKEN);
    bound.store.put("/stack/ingress/hooks/mallory/Prefixes", "mallory");
    let hook = with_field(event("job-success"), "project", json!({"path_with_namespace": "mallory/own"}));
    assert!(matches!(refused(&bound, &hook, 403).await, Rejected::OutOfScope(_)));
    assert_eq!(bound.ledger.items(), stored);
}

#[tokio::test]
async fn new_secrets_are_known_at_once_and_strangers_cannot_make_us_read() {
    let door = Door::with_token();
    assert_eq!(door.answer(&event("job-pending")).await.0, 200);
    door.store.put("/stack/ingress/SigningToken", SIGNING_TOKEN);
    let hook = signed(event("job-running"), "a");
    for _ in 0..5 {
        refused(&door, &hook, 401).await;
    }
    assert_eq!(door.store.reads(), 1);
    let later = NOW + Millis::secs(10);
    assert!(matches!(door.take_at(&hook, later).await.unwrap(), Outcome::Job(_)));
    assert_eq!(door.store.reads(), 2);
}

#[tokio::test]
async fn without_secrets_nothing_passes_and_unread_secrets_are_our_trouble() {
    let door = Door::without_secrets();
    let why = refused(&door, &event("job-pending"), 401).await;
    assert_eq!(why, Rejected::Unproved(Refusal::NothingConfigured));
    let door = Door::with_token();
    door.store.fail(true);
    assert_eq!(door.take(&event("job-pending")).await.unwrap_err().name(), "Parameters.Unavailable");
    assert!(door.is_untouched());
}
