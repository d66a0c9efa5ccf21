//! Check in: an instance's runner begins.
//!
//! What a function proves with the nonce of its event, an instance proves by who it is: AWS signed its call, and the launch's
//! row names it. It learns its nonce only then, and speaks for the launch with that from there on.

use crate::change::{Plan, put};
use crate::lane::Engine;
use crate::launch::{LaunchRow, LaunchState};
use crate::limits;
use crate::moves::begin::{BeginRefused, begin};
use crate::time::Timestamp;

/// Why an instance may not begin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckInRefused {
    /// The launch's instance is not known yet: its caller is faster than the answer of AWS to who started it. The only
    /// refusal that is worth another call.
    #[error("the launch's instance is not recorded yet")]
    NotRecorded,
    /// The launch is another instance's, or none's.
    #[error("the launch is not this instance's")]
    NotTheirs,
    /// It began so long ago that it may ask GitLab for nothing any more.
    #[error("it became too late to ask GitLab")]
    WaitOver,
    /// As for every runner.
    #[error(transparent)]
    Begin(#[from] BeginRefused),
}

/// Lets the runner on `instance` begin under `claim`, as [`begin`] does, and keeps the hash of the nonce that it is given.
/// A repetition under the same claim is the same begin; its nonce replaces the one before, whose answer was lost.
///
/// # Errors
/// Why the caller must leave, or call again.
pub fn check_in(
    launch: &LaunchRow,
    instance: &str,
    claim: &str,
    nonce_sha256: &str,
    now: Timestamp,
) -> Result<Plan, CheckInRefused> {
    if launch.engine != Engine::Ec2 {
        return Err(CheckInRefused::NotTheirs);
    }
    match &launch.instance_id {
        Some(own) if own == instance => {}
        None if launch.never_began() && now < launch.deadline => return Err(CheckInRefused::NotRecorded),
        _ => return Err(CheckInRefused::NotTheirs),
    }
    let began = launch.times.polling_at.filter(|_| launch.state == LaunchState::Polling);
    if began.is_some_and(|began| now - began >= limits::WAIT) {
        return Err(CheckInRefused::WaitOver);
    }
    let given = LaunchRow { nonce_sha256: nonce_sha256.to_owned(), ..launch.clone() };
    let plan = begin(&given, nonce_sha256, claim, now)?;
    // `begin` has nothing to write when it is repeated.
    if plan.changes.is_empty() { Ok(plan.with_some(put(Some(launch), given))) } else { Ok(plan) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::moves::testing::{launch_of, launch_row, secs};

    fn of_instance(id: Option<&str>) -> LaunchRow {
        let launch = launch_row("l-1", Some(1));
        LaunchRow { engine: Engine::Ec2, instance_id: id.map(str::to_owned), ..launch }
    }

    #[test]
    fn only_the_recorded_instance_begins_and_gets_a_nonce_of_its_own() {
        let launch = of_instance(Some("i-1"));
        let begun = launch_of(&check_in(&launch, "i-1", "c", "new", secs(1)).unwrap());
        assert_eq!((begun.state, begun.nonce_sha256.as_str()), (LaunchState::Polling, "new"));
        assert_eq!((begun.claim.as_deref(), begun.request), (Some("c"), None));
        assert_eq!(check_in(&launch, "i-2", "c", "new", secs(1)), Err(CheckInRefused::NotTheirs));
        let of_function = LaunchRow { engine: Engine::Lambda, ..launch };
        assert_eq!(check_in(&of_function, "i-1", "c", "new", secs(1)), Err(CheckInRefused::NotTheirs));
    }

    #[test]
    fn an_instance_that_is_not_recorded_yet_comes_again_until_its_launch_is_over() {
        let launch = of_instance(None);
        assert_eq!(check_in(&launch, "i-1", "c", "n", secs(1)), Err(CheckInRefused::NotRecorded));
        assert_eq!(check_in(&launch, "i-1", "c", "n", launch.deadline), Err(CheckInRefused::NotTheirs));
        let closed = LaunchRow { state: LaunchState::Closed, ..launch };
        assert_eq!(check_in(&closed, "i-1", "c", "n", secs(1)), Err(CheckInRefused::NotTheirs));
    }

    #[test]
    fn a_repeated_check_in_is_the_same_until_the_wait_is_over() {
        let begun = launch_of(&check_in(&of_instance(Some("i-1")), "i-1", "c", "first", secs(1)).unwrap());
        assert!(check_in(&begun, "i-1", "c", "first", secs(2)).unwrap().changes.is_empty());
        let again = launch_of(&check_in(&begun, "i-1", "c", "second", secs(2)).unwrap());
        assert_eq!((again.nonce_sha256.as_str(), again.lease_until), ("second", begun.lease_until));
        assert_eq!(
            check_in(&begun, "i-1", "other", "x", secs(2)),
            Err(CheckInRefused::Begin(BeginRefused::Begun)),
            "another process of the same instance"
        );
        assert_eq!(check_in(&begun, "i-1", "c", "first", secs(1) + limits::WAIT), Err(CheckInRefused::WaitOver));
        let closing = LaunchRow { state: LaunchState::Closing, ..begun };
        let gone = BeginRefused::Gone(LaunchState::Closing);
        assert_eq!(check_in(&closing, "i-1", "c", "first", secs(2)), Err(CheckInRefused::Begin(gone)));
    }
}
