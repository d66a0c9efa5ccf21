//! The cases, as data: what breaks where, and what is stated beforehand to come of it.

mod answers;
mod executor;
mod front;
mod killed;
mod router;
mod start;
mod stop;
mod sweep;
mod terminator;

use super::case::Case;
use super::kind::Kind;

/// The sweep's minute, and what a busy machine needs beside it.
const SWEEP_S: u64 = 65;

/// The alarm about a job that GitLab gave to our runner, and that no launch got.
const UNACCOUNTED: &str = "JobsUnaccounted";

/// An event that the bus did not take.
const BUS_REFUSALS: &str = "BusRefusals";

/// The name under which a function says so of its ledger.
const fn ledger_error(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Throttled => &["Ledger.Throttled"],
        Kind::Denied => &["Ledger.Refused"],
        _ => &["Ledger.Unavailable"],
    }
}

/// Of a process that was killed.
const DIED: &[&str] = &["Runtime.ExitError"];
/// Of one that stood still until its function's time was over: the emulator needs some seconds to end it, and the workflow's
/// step may give up before.
const STOOD_STILL: &[&str] = &["Sandbox.Timedout", "States.Timeout"];

/// All cases, in the order in which they are run: whatever still goes on from one, the faults of the next do not touch it.
/// The terminator looks for twenty seconds after an executor that was ended, and an executor asks for fifteen after an answer
/// that was lost: what breaks the terminator comes before the former, and what breaks executors before the latter.
#[must_use]
pub fn all() -> Vec<Case> {
    [
        front::cases(),
        sweep::cases(),
        router::cases(),
        start::cases(),
        terminator::cases(),
        stop::cases(),
        vec![executor::with_the_terminator(), killed::while_the_terminator_fails()],
        executor::cases(),
        killed::cases(),
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

    #[test]
    fn no_case_breaks_what_still_goes_on_from_another() {
        let cases = all();
        let terminator = cases.iter().rposition(|case| case.breaks("Terminator"));
        let executor = cases.iter().position(|case| case.breaks("Executor") && !case.breaks("Terminator"));
        assert!(terminator.is_some() && executor.is_some() && terminator < executor, "{terminator:?}, {executor:?}");
        let executor = cases.iter().rposition(|case| case.breaks("Executor"));
        let asks_on = cases.iter().position(|case| case.id.contains("answer-lost-at-the-201"));
        assert!(asks_on.is_some() && executor < asks_on, "{executor:?}, {asks_on:?}");
    }
}
