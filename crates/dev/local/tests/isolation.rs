//! What a job can reach: the whole table, as an unprivileged user.

#![allow(clippy::unwrap_used, reason = "a test's helper may panic: that fails the test")]

use std::collections::BTreeMap;

use suite::cases;

#[path = "support/suite.rs"]
mod suite;

#[test]
fn a_job_reaches_nothing_of_ours_and_every_attempt_works_on_a_process_that_protects_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let Some(lines) = cases("isolation", &[], &folder.path().join("state")) else { return };
    let mut attempts: BTreeMap<&str, usize> = BTreeMap::new();
    for line in &lines {
        *attempts.entry(line["got"]["engine"].as_str().unwrap()).or_default() += 1;
        assert!(!line.to_string().contains("canary"), "the secret is in the table itself: {line}");
    }
    let all = [("executor, shared", 32), ("executor, tenant", 29), ("runner by hand", 24)];
    assert_eq!(attempts, BTreeMap::from(all));
}
