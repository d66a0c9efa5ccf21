//! What is promised of instances: every case on a deployed stack.

use std::collections::BTreeMap;

use crate::suite::{cases, in_checkout};

#[test]
fn every_promise_about_instances_holds_on_a_deployed_stack() {
    let Some(lines) = cases("instances", &[], &in_checkout("instances")) else { return };
    let mut parts: BTreeMap<&str, usize> = BTreeMap::new();
    for line in &lines {
        let part = line["id"].as_str().unwrap().split(':').next().unwrap();
        *parts.entry(part).or_default() += 1;
    }
    let all = [
        ("calls", 3),
        ("swap", 1),
        ("look-alikes", 11),
        ("reach", 18),
        ("user data", 6),
        ("runners", 5),
        ("removal", 2),
    ];
    assert_eq!(parts, BTreeMap::from(all));
}
