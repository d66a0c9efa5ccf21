//! What every parameter store does.

use runnerless_aws::ports::Parameters;

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

/// Runs the suite on a store that holds [`VALUES`].
pub async fn all(store: &impl Parameters) {
    let ingress = store.below("/suite/ingress").await.unwrap();
    assert_eq!(ingress.len(), 12, "every page, and no neighbour");
    assert_eq!(ingress["k"].as_str(), "11");
    assert_eq!(ingress["deep/l"].as_str(), "s€cret\n", "values are given as they are");
    assert_eq!(store.below("/suite/ingress/").await.unwrap().len(), 12);
    assert!(store.below("/suite/nothing").await.unwrap().is_empty(), "an empty branch is no error");
}
