//! The cases, as data: what breaks where, and what is stated beforehand to come of it.

mod answers;
mod executor;
mod front;
mod killed;
mod router;
mod sweep;
mod terminator;

use super::case::Case;

/// The sweep's minute, and what a busy machine needs beside it.
const SWEEP_S: u64 = 65;

/// The alarm about a job that GitLab gave to our runner, and that no launch got.
const UNACCOUNTED: &str = "JobsUnaccounted";

/// All cases, in the order in which they are run: whatever still goes on from one, the faults of the next do not touch it.
#[must_use]
pub fn all() -> Vec<Case> {
    [
        front::cases(),
        sweep::cases(),
        executor::cases(),
        killed::cases(),
        router::cases(),
        terminator::cases(),
        answers::cases(),
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_case_has_a_name_of_its_own_that_a_tag_can_be() {
        let cases = all();
        let names: HashSet<&str> = cases.iter().map(|case| case.id.as_str()).collect();
        assert_eq!(names.len(), cases.len());
        assert!(
            names
                .iter()
                .all(|name| name.bytes().all(|byte| byte.is_ascii_lowercase() || b"-0123456789".contains(&byte)))
        );
    }
}
