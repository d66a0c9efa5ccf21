//! Whatever is sent: no panic, no 5xx of a healthy stack, and nothing changes unless it was proved.

use crate::support::{Door, TOKEN, event, with_header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use runnerless_ingest::Outcome;
use serde_json::{Map, Value, json};

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn header_names() -> impl Strategy<Value = String> {
    let known = vec![
        "x-gitlab-token",
        "X-Gitlab-Token",
        "webhook-id",
        "webhook-timestamp",
        "webhook-signature",
        "x-gitlab-event",
        "x-gitlab-instance",
    ];
    prop_oneof![4 => proptest::sample::select(known).prop_map(str::to_owned), 1 => ".{0,20}".prop_map(String::from)]
}

fn header_values() -> impl Strategy<Value = Value> {
    prop_oneof![
        ".{0,40}".prop_map(Value::from),
        "v1,[A-Za-z0-9+/]{43}=".prop_map(Value::from),
        Just(json!("1789453600")),
        Just(Value::Null),
        any::<i64>().prop_map(Value::from),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn strangers_change_nothing(
        headers in proptest::collection::vec((header_names(), header_values()), 0..8),
        body in proptest::collection::vec(any::<u8>(), 0..400),
        method in proptest::sample::select(vec!["POST", "GET", "", "post"]),
        signs in any::<bool>(),
    ) {
        let door = if signs { Door::with_key() } else { Door::with_token() };
        let headers: Map<String, Value> = headers.into_iter().collect();
        let hook = json!({
            "rawPath": "/webhook", "headers": headers, "requestContext": {"http": {"method": method}},
            "body": STANDARD.encode(&body), "isBase64Encoded": true,
        });
        let outcome = run(door.take(&hook)).expect("a healthy stack answers");
        prop_assert!(matches!(outcome, Outcome::Rejected(_)));
        prop_assert!((400..500).contains(&outcome.status()));
        prop_assert!(door.is_untouched());
    }

    #[test]
    fn a_known_hook_with_any_bytes_is_answered_by_2xx(
        body in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..400),
            r#"\{"object_kind":"(build|pipeline)","build_id":[0-9e.-]{1,9},"build_status":"[a-z]{1,9}"\}"#
                .prop_map(String::into_bytes),
        ],
    ) {
        let door = Door::with_token();
        let mut hook = with_header(event("job-pending"), "x-gitlab-token", TOKEN);
        hook["body"] = STANDARD.encode(&body).into();
        hook["isBase64Encoded"] = true.into();
        let outcome = run(door.take(&hook)).expect("a healthy stack answers");
        prop_assert_eq!(outcome.status(), 200);
        prop_assert!(door.is_untouched(), "none of these is a whole job event");
    }
}
