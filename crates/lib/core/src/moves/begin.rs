//! Begin and renew: a launch's runner may ask, and says that it lives.

use crate::change::{Plan, put};
use crate::launch::{LaunchRow, LaunchState};
use crate::limits;
use crate::time::Timestamp;

/// Why a runner may not begin: it leaves without asking GitLab.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BeginRefused {
    /// The caller does not know the launch's nonce.
    #[error("the nonce is not this launch's")]
    WrongNonce,
    /// Another delivery of the same event was faster, or it is the same one that lost its answer under another claim.
    #[error("the launch has begun already")]
    Begun,
    /// Somebody stops it, or it is over.
    #[error("the launch is {0:?}")]
    Gone(LaunchState),
    /// It came after its hard end.
    #[error("the launch's deadline is over")]
    TooLate,
}

/// Lets the runner that holds `claim` ask GitLab. Who proves the nonce is this launch's runner; who comes first with
/// a claim is the only one. Repeating a begin under the same claim is the same begin.
///
/// # Errors
/// Why the caller must leave.
pub fn begin(launch: &LaunchRow, nonce_sha256: &str, claim: &str, now: Timestamp) -> Result<Plan, BeginRefused> {
    if launch.nonce_sha256 != nonce_sha256 {
        return Err(BeginRefused::WrongNonce);
    }
    match launch.state {
        LaunchState::Charged | LaunchState::Starting => {}
        LaunchState::Polling if launch.claim.as_deref() == Some(claim) => return Ok(Plan::because("has begun")),
        LaunchState::Polling | LaunchState::Bound => return Err(BeginRefused::Begun),
        state @ (LaunchState::Closing | LaunchState::Closed) => return Err(BeginRefused::Gone(state)),
    }
    if now >= launch.deadline {
        return Err(BeginRefused::TooLate);
    }
    let mut after = launch.clone();
    if launch.state == LaunchState::Charged {
        // AWS's answer is slower than its function.
        after.enter(LaunchState::Starting, now);
    }
    after.enter(LaunchState::Polling, now);
    after.claim = Some(claim.to_owned());
    after.request = None;
    after.lease(now + limits::POLL_LEASE);
    Ok(Plan::because("its runner begins to ask").with_some(put(Some(launch), after)))
}

/// Why a renewal is refused: the runner no longer speaks for the launch.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RenewRefused {
    /// The launch was reported lost, or stopped.
    #[error("the launch is {0:?}")]
    NotBound(LaunchState),
}

/// A bound launch lives and its job was accepted: its lease is extended, never beyond its hard end. A runner renews only
/// after it accepted the job, so that a renewal also records the acceptance.
///
/// # Errors
/// The launch is not bound any more.
pub fn renew(launch: &LaunchRow, now: Timestamp) -> Result<Plan, RenewRefused> {
    sign_of_life(launch, true, now)
}

/// A bound launch lives, and GitLab has not answered yet that its job is accepted, which may take
/// [`limits::ACCEPT_LIMIT`]: its lease is extended in the same way.
///
/// # Errors
/// The launch is not bound any more.
pub fn alive(launch: &LaunchRow, now: Timestamp) -> Result<Plan, RenewRefused> {
    sign_of_life(launch, launch.accepted, now)
}

/// An official runner lives whether or not it is known which job it has.
fn sign_of_life(launch: &LaunchRow, accepted: bool, now: Timestamp) -> Result<Plan, RenewRefused> {
    if launch.state != LaunchState::Bound && !launch.may_run_unknown() {
        return Err(RenewRefused::NotBound(launch.state));
    }
    let mut after = launch.clone();
    after.accepted = accepted && launch.state == LaunchState::Bound;
    after.lease((now + limits::HEARTBEAT_LEASE).min(launch.deadline.max(now)));
    Ok(Plan::because("alive").with_some(put(Some(launch), after)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::moves::testing::{T0, launch_of, launch_row, secs};
    use crate::official::Official;

    #[test]
    fn of_two_deliveries_of_one_event_exactly_one_begins() {
        let launch = launch_row("l-1", Some(1));
        let begun = launch_of(&begin(&launch, "hash", "first", secs(1)).unwrap());
        assert_eq!(begun.state, LaunchState::Polling);
        assert_eq!(begun.request, None, "the nonce is erased with the request");
        assert_eq!(begin(&begun, "hash", "second", secs(1)), Err(BeginRefused::Begun));
        assert!(
            begin(&begun, "hash", "first", secs(1)).unwrap().changes.is_empty(),
            "a repeated begin changes nothing"
        );
    }

    #[test]
    fn a_stranger_a_closing_launch_and_a_late_runner_do_not_begin() {
        let launch = launch_row("l-1", Some(1));
        assert_eq!(begin(&launch, "other", "c", T0), Err(BeginRefused::WrongNonce));
        assert_eq!(begin(&launch, "hash", "c", launch.deadline), Err(BeginRefused::TooLate));
        for state in [LaunchState::Closing, LaunchState::Closed] {
            let gone = LaunchRow { state, ..launch.clone() };
            assert_eq!(begin(&gone, "hash", "c", T0), Err(BeginRefused::Gone(state)));
        }
    }

    #[test]
    fn only_a_bound_launch_renews() {
        let launch = launch_row("l-1", Some(1));
        assert_eq!(renew(&launch, T0), Err(RenewRefused::NotBound(LaunchState::Charged)));
        let bound = LaunchRow { state: LaunchState::Bound, ..launch };
        assert_eq!(launch_of(&renew(&bound, secs(60)).unwrap()).lease_until, secs(60) + limits::HEARTBEAT_LEASE);
    }

    #[test]
    fn an_official_runner_lives_before_its_job_is_known_and_no_other_does() {
        let launch = launch_row("l-1", Some(1));
        let polling = launch_of(&begin(&launch, "hash", "c", T0).unwrap());
        assert!(renew(&polling, secs(60)).is_err());
        let official = LaunchRow { official: Some(Official::Shell), ..polling };
        let alive = launch_of(&renew(&official, secs(60)).unwrap());
        assert_eq!((alive.lease_until, alive.accepted), (secs(60) + limits::HEARTBEAT_LEASE, false));
        assert_eq!(alive.state, LaunchState::Polling);
        let late = launch_of(&renew(&official, launch.deadline - crate::time::Millis(1)).unwrap());
        assert_eq!(late.lease_until, launch.deadline, "not beyond its hard end");
    }

    #[test]
    fn a_sign_of_life_before_the_acceptance_does_not_say_that_there_was_one() {
        let bound = LaunchRow { state: LaunchState::Bound, ..launch_row("l-1", Some(1)) };
        let alive_at = |launch: &LaunchRow, now| launch_of(&alive(launch, now).unwrap());
        let waits = alive_at(&bound, secs(10));
        assert_eq!((waits.accepted, waits.lease_until), (false, secs(10) + limits::HEARTBEAT_LEASE));
        let runs = launch_of(&renew(&waits, secs(20)).unwrap());
        assert!(runs.accepted && alive_at(&runs, secs(30)).accepted);
        let closing = LaunchRow { state: LaunchState::Closing, ..bound };
        assert_eq!(alive(&closing, T0), Err(RenewRefused::NotBound(LaunchState::Closing)));
    }
}
