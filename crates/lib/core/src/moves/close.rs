//! Close and conclude: a launch that nobody needs, or that is over.

use crate::change::{Change, Plan, put};
use crate::job::{JobRow, JobState};
use crate::launch::{LaunchRow, LaunchState};
use crate::limits;
use crate::status::JobStatus;
use crate::time::{Millis, Timestamp};

/// What the closer knows beyond the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// Only the row.
    RowOnly,
    /// AWS said that the compute is over (a failed invocation, a terminated instance): its runner asks no more.
    HostGone,
    /// The operator removes the stack and waits for no job. Says nothing about the compute: what has no job may have one
    /// in a moment, and is closed as by the row alone.
    Removal,
}

/// Why a launch is not closed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CloseRefused {
    /// It runs a job. Only that job's end stops it.
    #[error("the launch is bound")]
    Bound,
    /// Its runner may still ask GitLab, or hold an answer that it has not bound yet.
    #[error("its runner may still ask until {}", .0.0)]
    MayStillAsk(Timestamp),
    /// It is over, but for what GitLab is to be told.
    #[error("the launch is over, and GitLab is to be told about its job")]
    OwesReport,
    /// It is over.
    #[error("the launch is closed")]
    Closed,
}

/// Writes `closing`: from then on its runner can bind nothing, so that its compute can be stopped safely. Allowed
/// before the runner began, and after it cannot ask any more; never while it is bound.
///
/// # Errors
/// Why not (now).
pub fn close(launch: &LaunchRow, evidence: Evidence, why: &str, now: Timestamp) -> Result<Plan, CloseRefused> {
    match launch.state {
        LaunchState::Bound => return Err(CloseRefused::Bound),
        LaunchState::Closed => return Err(CloseRefused::Closed),
        LaunchState::Closing if launch.owes_report() => return Err(CloseRefused::OwesReport),
        LaunchState::Polling if evidence != Evidence::HostGone && now < launch.lease_until => {
            return Err(CloseRefused::MayStillAsk(launch.lease_until));
        }
        LaunchState::Charged | LaunchState::Starting | LaunchState::Polling | LaunchState::Closing => {}
    }
    let mut after = launch.clone();
    if launch.state != LaunchState::Closing {
        after.enter(LaunchState::Closing, now);
        after.end_reason = Some(why.to_owned());
        // The sweep finishes what a closer that dies here leaves.
        after.lease(now + limits::SETTLE_CHECK);
    }
    Ok(Plan::because(why).with_some(put(Some(launch), after)))
}

/// How a launch ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// Its runner asked and no job came, or its compute ended before it got one: an attempt of the charged job.
    Fruitless(String),
    /// AWS never started it (throttled, no capacity, too old): back-pressure, which burns no attempt.
    NeverStarted {
        /// What AWS said.
        reason: String,
        /// How long the job waits before the next attempt.
        retry_in: Millis,
    },
    /// Its runner began and could not really ask: GitLab did not answer, or this side had a trouble of its own. Says
    /// nothing about the job, and burns no attempt.
    Unanswered(String),
    /// Its job is done.
    JobDone(String),
    /// Its job is over and GitLab could not be told how: it is told as of a lost one, see [`crate::moves::debt`].
    Untold(String),
}

impl End {
    /// Why.
    #[must_use]
    pub fn reason(&self) -> &str {
        match self {
            Self::Fruitless(reason)
            | Self::NeverStarted { reason, .. }
            | Self::Unanswered(reason)
            | Self::JobDone(reason)
            | Self::Untold(reason) => reason,
        }
    }

    /// Whether only the runner that had the job says so.
    const fn is_its_runners(&self) -> bool {
        matches!(self, Self::JobDone(_) | Self::Untold(_))
    }
}

/// Closes a launch for good and frees the job that was charged to it.
///
/// Called by the runner itself when it leaves, or by whoever closed the launch once its compute is gone.
/// `job` is the row of the bound job if there is one, else of the charged job. `None` when the launch is closed, when
/// it is said never to have started and its runner knows better (an answer of AWS may be about a second try), and while
/// GitLab is to be told about its job.
#[must_use]
pub fn conclude(launch: &LaunchRow, job: Option<&JobRow>, end: &End, now: Timestamp) -> Option<Plan> {
    let never_started = matches!(end, End::NeverStarted { .. });
    let began = matches!(launch.state, LaunchState::Polling | LaunchState::Bound);
    let not_yet = launch.owes_report() && !end.is_its_runners();
    if launch.state == LaunchState::Closed || (never_started && began) || not_yet {
        return None;
    }
    let reason = end.reason();
    let mut after = launch.clone();
    // A job that is over was accepted, also where it was over before that could be written down.
    after.accepted |= launch.bound_job.is_some() && end.is_its_runners();
    match end {
        End::Untold(_) => after.owe_report(now, reason),
        _ => after.retire(now, reason),
    }
    let plan = Plan::because(reason).with_some(put(Some(launch), after));
    let freed = job.filter(|_| !leaves_its_job(launch, end, now)).and_then(|job| match launch.bound_job {
        Some(_) => done(launch, job, end, now),
        None => free(launch, job, end, now),
    });
    Some(plan.with_some(freed))
}

/// Whether the end of this launch leaves its job's row as the binding made it, and due soon by that: who is told of the job's end
/// settles the row together with the instance, at about the same moment. A function's launch has nobody who does, and the row of
/// a job that ran longer was put off until that had to be over.
#[must_use]
pub fn leaves_its_job(launch: &LaunchRow, end: &End, now: Timestamp) -> bool {
    let is_due_soon = |bound: Timestamp| now + limits::SETTLE_CHECK < bound + limits::HEARTBEAT_LEASE;
    let by_its_runner = launch.state == LaunchState::Bound && matches!(end, End::JobDone(_));
    by_its_runner && launch.instance_id.is_some() && launch.times.bound_at.is_some_and(is_due_soon)
}

/// The bound job's row: settled when GitLab has told us its end, else due for a look whether that hook was lost. A job that
/// was bound and never accepted is offered again once GitLab's two minutes are over, and waits for that.
fn done(launch: &LaunchRow, job: &JobRow, end: &End, now: Timestamp) -> Option<Change> {
    if job.launch.as_ref() != Some(&launch.launch) {
        return None;
    }
    let mut after = job.clone();
    let unaccepted = !launch.accepted && job.gitlab_status.precedes_running() && !end.is_its_runners();
    if job.state == JobState::Ended {
        after.retire(now);
    } else if unaccepted {
        after.launch = None;
        after.enter(JobState::Waiting, now, end.reason());
        after.due_at(now + limits::OFFER_AGAIN);
    } else {
        after.due_at(now + limits::SETTLE_CHECK);
    }
    put(Some(job), after)
}

/// The charged job's row: it waits for its next attempt, at a price that depends on why this one ended.
pub(super) fn free(launch: &LaunchRow, job: &JobRow, end: &End, now: Timestamp) -> Option<Change> {
    if job.state != JobState::Charged || job.charge.as_ref() != Some(&launch.launch) {
        return None;
    }
    let mut after = job.clone();
    after.charge = None;
    match end {
        End::NeverStarted { reason, retry_in } => {
            after.enter(JobState::Waiting, now, reason.clone());
            after.due_at(now + *retry_in);
        }
        End::Unanswered(reason) => {
            after.enter(JobState::Waiting, now, reason.clone());
            after.due_at(now + limits::TROUBLE_RETRY);
        }
        // Its own lane may be as good as ever, and has a launch for it at once.
        End::Fruitless(reason) if is_of_another_lane(launch, job) => {
            after.enter(JobState::Waiting, now, reason.clone());
            after.due_at(now);
        }
        End::Fruitless(reason) | End::JobDone(reason) | End::Untold(reason) => count_fruitless(&mut after, reason, now),
    }
    if job.gitlab_status != JobStatus::Pending {
        after.retire(now);
    }
    put(Some(job), after)
}

/// Whether the launch was started for a job of another lane, and handed to this one when that needed it no more.
fn is_of_another_lane(launch: &LaunchRow, job: &JobRow) -> bool {
    job.lane.as_ref().is_some_and(|lane| *lane != launch.lane)
}

fn count_fruitless(after: &mut JobRow, reason: &str, now: Timestamp) {
    after.fruitless += 1;
    let wait = usize::try_from(after.fruitless).ok().and_then(|n| limits::RETRY_BACKOFF.get(n - 1));
    match wait {
        Some(wait) if after.fruitless < limits::FRUITLESS_LIMIT => {
            after.enter(JobState::Waiting, now, reason);
            after.due_at(now + *wait);
        }
        _ => {
            after.enter(
                JobState::Unserved,
                now,
                format!("{} launches found nothing; the last: {reason}", after.fruitless),
            );
            after.due_at(now + limits::UNSERVED_RETRY);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::moves::testing::{T0, bound_pair, charged_pair, job_of, launch_of, polling, secs};
    use crate::moves::{DueJob, due_job};

    #[test]
    fn a_launch_is_closed_before_it_begins_or_when_it_asks_no_more() {
        let (_, launch) = charged_pair(1, "l-1");
        assert!(close(&launch, Evidence::RowOnly, "served", T0).is_ok());
        let polling = polling(&launch);
        let until = polling.lease_until;
        assert_eq!(close(&polling, Evidence::RowOnly, "x", until - Millis(1)), Err(CloseRefused::MayStillAsk(until)));
        assert!(close(&polling, Evidence::RowOnly, "x", until).is_ok());
        assert!(close(&polling, Evidence::HostGone, "x", T0).is_ok());
        assert_eq!(close(&polling, Evidence::Removal, "x", T0), Err(CloseRefused::MayStillAsk(until)));
    }

    #[test]
    fn three_fruitless_launches_make_a_job_unserved_and_then_it_costs_one_an_hour() {
        let (mut job, launch) = charged_pair(1, "l-1");
        let mut waits = Vec::new();
        for _ in 0..4 {
            job.state = JobState::Charged;
            job.charge = Some(launch.launch.clone());
            job = job_of(&conclude(&launch, Some(&job), &End::Fruitless("no job came".into()), T0).unwrap());
            waits.push((job.state, job.due.next_check_at.unwrap() - T0));
        }
        let hour = limits::UNSERVED_RETRY;
        assert_eq!(
            waits,
            [
                (JobState::Waiting, Millis::secs(10)),
                (JobState::Waiting, Millis::secs(130)),
                (JobState::Unserved, hour),
                (JobState::Unserved, hour)
            ]
        );
    }

    #[test]
    fn a_job_whose_runner_says_that_it_is_over_was_accepted() {
        let (job, launch) = bound_pair(1, "l-1");
        let launch = LaunchRow { accepted: false, ..launch };
        let accepted = |end| launch_of(&conclude(&launch, Some(&job), &end, T0).unwrap()).accepted;
        assert!(accepted(End::JobDone("done".into())) && accepted(End::Untold("GitLab is away".into())));
        assert!(!accepted(End::Fruitless("gone".into())), "nobody knows");
    }

    #[test]
    fn the_job_of_an_instance_that_ends_soon_is_looked_at_all_the_same() {
        let (job, function) = bound_pair(1, "l-1");
        let instance = LaunchRow { instance_id: Some("i-1".into()), ..function.clone() };
        let bound = instance.times.bound_at.unwrap();
        let look = job.due.next_check_at.unwrap();
        assert_eq!(look, bound + limits::HEARTBEAT_LEASE);
        let done = End::JobDone("done".into());
        let plan = conclude(&instance, Some(&job), &done, look - limits::SETTLE_CHECK - Millis(1)).unwrap();
        assert_eq!((plan.changes.len(), launch_of(&plan).state), (1, LaunchState::Closing));
        let asked = due_job(&job, Some(&cleared_row(&launch_of(&plan))), look);
        assert!(matches!(asked, DueJob::NeedsWord(_)), "{asked:?}");
        // The sweep may have put that look off until the launch must be over.
        let late = look - limits::SETTLE_CHECK + Millis(1);
        let after = job_of(&conclude(&instance, Some(&job), &done, late).unwrap());
        assert_eq!(after.due.next_check_at, Some(late + limits::SETTLE_CHECK));
        // Nobody else settles these.
        let untold = End::Untold("GitLab is away".into());
        for (launch, end) in [(&function, &done), (&instance, &untold)] {
            assert_eq!(conclude(launch, Some(&job), end, bound + Millis(1)).unwrap().changes.len(), 2, "{end:?}");
        }
    }

    fn cleared_row(launch: &LaunchRow) -> LaunchRow {
        launch_of(&crate::moves::cleared(launch, "its instance is gone", T0).unwrap())
    }

    #[test]
    fn back_pressure_burns_no_attempt() {
        let (job, launch) = charged_pair(1, "l-1");
        let end = End::NeverStarted { reason: "throttled".into(), retry_in: Millis::secs(7) };
        let after = job_of(&conclude(&launch, Some(&job), &end, T0).unwrap());
        assert_eq!((after.fruitless, after.state), (0, JobState::Waiting));
        assert_eq!(after.due.next_check_at, Some(secs(7)));
    }

    #[test]
    fn a_launch_of_another_lane_burns_no_attempt_and_the_jobs_own_lane_is_next() {
        let (job, launch) = charged_pair(1, "l-1");
        let refused = End::Fruitless("GitLab refuses its token".into());
        let own = job_of(&conclude(&polling(&launch), Some(&job), &refused, secs(7)).unwrap());
        assert_eq!((own.fruitless, own.due.next_check_at), (1, Some(secs(7) + limits::RETRY_BACKOFF[0])));
        let other = JobRow { lane: Some(crate::id::LaneId::new("another")), ..job };
        let after = job_of(&conclude(&polling(&launch), Some(&other), &refused, secs(7)).unwrap());
        assert_eq!((after.fruitless, after.state, after.charge), (0, JobState::Waiting, None));
        assert_eq!(after.due.next_check_at, Some(secs(7)));
    }

    #[test]
    fn a_gitlab_that_does_not_answer_burns_no_attempt() {
        let (job, launch) = charged_pair(1, "l-1");
        let plan = conclude(&polling(&launch), Some(&job), &End::Unanswered("502".into()), T0).unwrap();
        assert_eq!((job_of(&plan).fruitless, job_of(&plan).due.next_check_at), (0, Some(T0 + limits::TROUBLE_RETRY)));
    }

    #[test]
    fn a_job_that_was_bound_and_never_accepted_is_waited_for_again() {
        let (job, bound) = crate::moves::testing::bound_pair(1, "l-1");
        let after = job_of(&conclude(&bound, Some(&job), &End::Fruitless("the function failed".into()), T0).unwrap());
        assert_eq!(
            (after.state, after.launch, after.due.next_check_at),
            (JobState::Waiting, None, Some(T0 + limits::OFFER_AGAIN))
        );
        let untold = JobRow { gitlab_status: JobStatus::Unknown("none".into()), ..job.clone() };
        let plan = conclude(&bound, Some(&untold), &End::Fruitless("the function failed".into()), T0).unwrap();
        assert_eq!(job_of(&plan).state, JobState::Waiting, "its hook was lost, or is late");
        let accepted = LaunchRow { accepted: true, ..bound };
        let after = job_of(&conclude(&accepted, Some(&job), &End::Fruitless("x".into()), T0).unwrap());
        assert_eq!(after.state, JobState::Bound, "only GitLab knows how it ended");
    }

    #[test]
    fn a_launch_that_began_is_not_ended_as_never_started() {
        let (job, launch) = charged_pair(1, "l-1");
        let end = End::NeverStarted { reason: "throttled".into(), retry_in: Millis::secs(7) };
        assert_eq!(conclude(&polling(&launch), Some(&job), &end, T0), None);
        let (job, bound) = crate::moves::testing::bound_pair(1, "l-1");
        assert_eq!(conclude(&bound, Some(&job), &end, T0), None);
    }

    #[test]
    fn a_job_that_another_launch_took_is_not_freed_by_the_one_it_lost() {
        let (job, launch) = charged_pair(1, "l-1");
        let moved = JobRow { charge: Some(crate::id::LaunchId::new("l-2")), ..job };
        let plan = conclude(&launch, Some(&moved), &End::Fruitless("x".into()), T0).unwrap();
        assert_eq!(plan.changes.len(), 1);
        assert_eq!(launch_of(&plan).state, LaunchState::Closed);
    }

    #[test]
    fn a_closed_launch_is_not_concluded_twice() {
        let (job, launch) = charged_pair(1, "l-1");
        let closed = launch_of(&conclude(&launch, Some(&job), &End::Fruitless("x".into()), T0).unwrap());
        assert_eq!(conclude(&closed, Some(&job), &End::Fruitless("x".into()), T0), None);
    }
}
