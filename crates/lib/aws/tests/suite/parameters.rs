//! What every parameter store does.
//!
//! That a value cannot be decrypted, and that the caller may not read a branch, is the deployed stack's to show.

use runnerless_aws::ports::{Parameters, Stored, TokenStore};
use zeroize::Zeroizing;

/// More than one page of AWS's ten, two branches, and a neighbour whose name begins alike.
pub const VALUES: [(&str, &str); 14] = [
    ("/suite/ingress/a", "1"),
    ("/suite/ingress/b", "2"),
    ("/suite/ingress/c", "3"),
    ("/suite/ingress/d", "4"),
    ("/suite/ingress/e", "5"),
    ("/suite/ingress/f", "6"),
    ("/suite/ingress/g", "7"),
    ("/suite/ingress/h", "8"),
    ("/suite/ingress/i", "9"),
    ("/suite/ingress/j", "10"),
    ("/suite/ingress/k", "11"),
    ("/suite/ingress/deep/l", "s€cret\n"),
    ("/suite/control/a", "other branch"),
    ("/suite/ingress2/a", "neighbour"),
];

/// Runs the suite on a store that holds [`VALUES`]; `put` writes a value as an operator would, over an older one.
pub async fn all(store: &(impl Parameters + TokenStore), put: impl AsyncFn(&str, &str)) {
    let ingress = store.below("/suite/ingress").await.unwrap();
    assert_eq!(ingress.len(), 12, "every page, and no neighbour");
    assert_eq!(ingress["k"].as_str(), "11");
    assert_eq!(ingress["deep/l"].as_str(), "s€cret\n", "values are given as they are");
    assert_eq!(store.below("/suite/ingress/").await.unwrap().len(), 12);
    assert!(store.below("/suite/nothing").await.unwrap().is_empty(), "an empty branch is no error");
    let root = store.below("/suite").await.unwrap();
    assert_eq!(root.len(), 14, "all branches below a path: {:?}", root.keys());
    assert!(root.contains_key("ingress/deep/l") && root.contains_key("control/a"));
    assert!(store.below("/suite/ingress/a").await.unwrap().is_empty(), "a parameter is not below itself");
    assert!(store.below("/SUITE/ingress").await.unwrap().is_empty(), "capitals are other letters");

    put("/suite/ingress/a", "replaced").await;
    put("/suite/ingress/new", "added").await;
    let ingress = store.below("/suite/ingress").await.unwrap();
    assert_eq!((ingress["a"].as_str(), ingress["new"].as_str(), ingress.len()), ("replaced", "added", 13));
    assert_eq!(ingress["b"].as_str(), "2", "the others stay");

    let text = |text: &str| Zeroizing::new(text.to_owned());
    assert_eq!(store.add("/suite/runner/EC2/aa/RegistrationToken", &text("one")).await.unwrap(), Stored::New);
    assert_eq!(store.add("/suite/runner/EC2/aa/RegistrationToken", &text("two")).await.unwrap(), Stored::There);
    assert_eq!(store.below("/suite/runner/EC2/aa").await.unwrap()["RegistrationToken"].as_str(), "one");
    for _ in 0..2 {
        store.remove("/suite/runner/EC2/aa/RegistrationToken").await.unwrap();
        assert!(store.below("/suite/runner/EC2/aa").await.unwrap().is_empty());
    }
}
