//! What every store of secrets does.

use runnerless_aws_admin::ports::SecretStore;
use zeroize::Zeroizing;

/// Runs the suite on a store without secrets.
pub async fn all(store: &impl SecretStore) {
    let put = async |name: &str, value: &str| store.put(name, &Zeroizing::new(value.to_owned())).await;
    let get = async |name: &str| store.get(name).await.unwrap().map(|value| value.to_string());
    assert_eq!(get("/suite/ingress/SecretToken").await, None);
    put("/suite/ingress/SecretToken", "s\u{20ac}cret\n").await.unwrap();
    assert_eq!(get("/suite/ingress/SecretToken").await.as_deref(), Some("s\u{20ac}cret\n"), "as it is");
    put("/suite/ingress/SecretToken", "replaced").await.unwrap();
    assert_eq!(get("/suite/ingress/SecretToken").await.as_deref(), Some("replaced"));
    for other in ["/suite/ingress", "/suite/ingress/secrettoken", "/suite/ingress/SecretToken2"] {
        assert_eq!(get(other).await, None, "{other}");
    }
    for number in 10..70 {
        put(&format!("/suite/runner/LAMBDA/{number}/RegistrationToken"), "t").await.unwrap();
    }
    put("/suite-of-others/ingress/SecretToken", "s").await.unwrap();
    let names = store.names_below("/suite").await.unwrap();
    assert_eq!((names.len(), names[0].as_str()), (61, "/suite/ingress/SecretToken"), "more than a page");
    assert!(names.is_sorted());
    assert!(store.names_below("/suite/nothing").await.unwrap().is_empty());
}

/// Standard parameters hold 4096 characters, and none is empty. The emulator takes all values, so that this is shown on the
/// stand-in alone.
pub async fn limits(store: &impl SecretStore) {
    let put = async |name: &str, value: &str| store.put(name, &Zeroizing::new(value.to_owned())).await;
    let get = async |name: &str| store.get(name).await.unwrap().map(|value| value.to_string());
    let most = "x".repeat(4096);
    put("/suite/ingress/Long", &most).await.unwrap();
    assert_eq!(get("/suite/ingress/Long").await, Some(most));
    for (name, value) in [("/suite/ingress/Empty", String::new()), ("/suite/ingress/Long", "y".repeat(4097))] {
        assert!(put(name, &value).await.is_err(), "{name}: {} bytes", value.len());
    }
    assert_eq!(get("/suite/ingress/Empty").await, None);
    assert!(get("/suite/ingress/Long").await.is_some_and(|value| value.starts_with('x')), "the older value stays");
}
