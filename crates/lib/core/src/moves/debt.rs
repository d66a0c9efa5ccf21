//! Debt: what GitLab is still to be told about the job of a launch that is over.

use crate::change::{Plan, put};
use crate::id::JobKey;
use crate::job::{JobRow, JobState};
use crate::launch::{LaunchRow, LaunchState};
use crate::limits;
use crate::moves::lost::may_report;
use crate::sealed::SealedToken;
use crate::time::{Millis, Timestamp};

/// What a launch's row owes to GitLab.
#[derive(Clone, Debug, PartialEq)]
pub enum Debt {
    /// Nothing.
    Nothing,
    /// That its job failed, which this token proves. When GitLab has answered, [`paid`] is to be written.
    Report {
        /// The job.
        job: JobKey,
        /// Its token.
        token: SealedToken,
    },
    /// Nothing any more: the token is erased by this plan.
    Forgiven(Plan),
}

/// Decides about a launch and the row of the job that it had.
///
/// A job is reported only while no other launch has it and only while GitLab cannot have given it to another runner; to
/// tell GitLab twice harms nobody, because the token is dead after the first time.
#[must_use]
pub fn debt(launch: &LaunchRow, job: Option<&JobRow>, now: Timestamp) -> Debt {
    let (true, Some(token), Some(key)) = (launch.owes_report(), &launch.job_token, launch.bound_job) else {
        return Debt::Nothing;
    };
    let forgiven = |why: &str| Debt::Forgiven(paid(launch, why, now));
    let since = launch.times.closing_at.unwrap_or(now);
    match job.filter(|job| job.key() == key) {
        Some(job) if job.state == JobState::Ended => forgiven("its job has ended"),
        Some(job) if job.launch.as_ref().is_some_and(|other| *other != launch.launch) => {
            forgiven("another launch has its job")
        }
        _ if !may_report(launch, now) => forgiven("its job may be another runner's"),
        _ if now - since > limits::DEBT_LIMIT => forgiven("GitLab has ended its job by itself"),
        _ => Debt::Report { job: key, token: token.clone() },
    }
}

/// GitLab knows, or is not to be told: the launch is over, and the token erased.
#[must_use]
pub fn paid(launch: &LaunchRow, why: &str, now: Timestamp) -> Plan {
    let mut after = launch.clone();
    let ended = launch.end_reason.as_deref().unwrap_or("lost");
    after.retire(now, format!("{ended}; {why}"));
    Plan::because(why).with_some(put(Some(launch), after))
}

/// GitLab did not answer: the sweep tells it later.
#[must_use]
pub fn unpaid(launch: &LaunchRow, now: Timestamp) -> Plan {
    let mut after = launch.clone();
    after.lease(now + limits::SETTLE_CHECK);
    Plan::because("GitLab is to be told later").with_some(put(Some(launch), after))
}

/// How long a bound launch must be watched without a change of its row before AWS's word that its invocation failed is
/// believed. `None` for a launch whose runner gives too few signs of life: there the lease decides.
#[must_use]
pub fn silence(launch: &LaunchRow) -> Option<Millis> {
    let beat = launch.beat_ms.filter(|_| launch.state == LaunchState::Bound)?;
    Some(Millis(2 * beat.0 + limits::BEAT_MARGIN.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::LaunchId;
    use crate::moves::testing::{T0, job_with_id, key, launch_of, launch_row, launch_with_id, pending_job, secs};
    use crate::moves::{CloseRefused, End, Evidence, Loss, close, conclude, lost};
    use crate::status::JobStatus;

    fn running() -> (LaunchRow, JobRow) {
        let mut launch = launch_row("l-1", Some(1));
        launch.state = LaunchState::Bound;
        launch.bound_job = Some(key(1));
        launch.accepted = true;
        launch.times.bound_at = Some(T0);
        launch.job_token = Some(SealedToken::new("sealed"));
        launch.beat_ms = Some(limits::BEAT);
        let job = JobRow {
            state: JobState::Bound,
            gitlab_status: JobStatus::Running,
            launch: Some(LaunchId::new("l-1")),
            ..pending_job(1)
        };
        (launch, job)
    }

    fn lose(launch: &LaunchRow, job: &JobRow, now: Timestamp) -> (LaunchRow, JobRow) {
        let Loss::Lost { plan, .. } = lost(launch, Some(job), Evidence::HostGone, now) else { panic!("it is lost") };
        (launch_with_id(&plan, "l-1"), job_with_id(&plan, 1))
    }

    #[test]
    fn a_lost_launch_owes_a_report_until_gitlab_knows() {
        let (launch, job) = running();
        assert_eq!(debt(&launch, Some(&job), secs(5)), Debt::Nothing, "it lives");
        let (launch, job) = lose(&launch, &job, secs(5));
        assert_eq!(launch.due.next_check_at, Some(secs(5) + limits::DEBT_GRACE), "the sweep follows a dead reporter");
        let owed = Debt::Report { job: key(1), token: SealedToken::new("sealed") };
        assert_eq!(debt(&launch, Some(&job), secs(600)), owed);
        assert_eq!(debt(&launch, None, secs(600)), owed, "its row may be gone");
        let after = launch_of(&paid(&launch, "told", secs(6)));
        assert_eq!((after.state, after.job_token, after.due.next_check_at), (LaunchState::Closed, None, None));
        assert_eq!(close(&launch, Evidence::HostGone, "x", secs(6)), Err(CloseRefused::OwesReport));
        assert!(conclude(&launch, Some(&job), &End::Fruitless("x".into()), secs(6)).is_none(), "the debt stays");
        let later = launch_of(&unpaid(&launch, secs(9)));
        assert_eq!((later.job_token.is_some(), later.due.next_check_at), (true, Some(secs(9) + limits::SETTLE_CHECK)));
    }

    #[test]
    fn a_job_that_ended_or_may_be_anothers_is_not_reported() {
        let (running, job) = running();
        let (launch, after) = lose(&running, &job, secs(5));
        let forgiven = |launch: &LaunchRow, job: &JobRow, now| match debt(launch, Some(job), now) {
            Debt::Forgiven(plan) => assert_eq!(launch_of(&plan).job_token, None),
            other => panic!("{other:?}"),
        };
        forgiven(&launch, &JobRow { state: JobState::Ended, ..after.clone() }, secs(6));
        forgiven(&launch, &JobRow { launch: Some(LaunchId::new("l-2")), ..after.clone() }, secs(6));
        forgiven(&launch, &after, secs(6) + limits::DEBT_LIMIT);
        let (offered, after) = lose(&LaunchRow { accepted: false, ..running }, &job, secs(5));
        assert!(matches!(debt(&offered, Some(&after), secs(6)), Debt::Report { .. }));
        forgiven(&offered, &after, T0 + limits::SILENCE_LIMIT);
    }

    #[test]
    fn a_launch_that_ends_keeps_no_token_unless_gitlab_was_not_told() {
        let (launch, job) = running();
        let end = |end| launch_with_id(&conclude(&launch, Some(&job), &end, secs(9)).unwrap(), "l-1");
        assert_eq!(end(End::JobDone("done".into())).job_token, None);
        let untold = end(End::Untold("GitLab was not told".into()));
        assert!(matches!(debt(&untold, Some(&job), secs(60)), Debt::Report { .. }));
    }

    #[test]
    fn only_a_runner_that_gives_signs_of_life_is_watched() {
        let (launch, _) = running();
        assert_eq!(silence(&launch), Some(Millis::secs(22)));
        assert_eq!(silence(&LaunchRow { beat_ms: None, ..launch.clone() }), None);
        assert_eq!(silence(&LaunchRow { state: LaunchState::Closed, ..launch }), None);
    }
}
