//! Lost: a bound launch that went silent.

use crate::change::{Plan, put};
use crate::id::JobKey;
use crate::job::{JobRow, JobState};
use crate::launch::{LaunchRow, LaunchState};
use crate::limits;
use crate::moves::Evidence;
use crate::status::JobStatus;
use crate::time::Timestamp;

/// What a silent launch asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Loss {
    /// It is not bound, or its lease is not over.
    NotLost(String),
    /// It is lost. GitLab is to be told that `report` failed. The plan is committed first; it leaves the job's token in
    /// the row as a debt, see [`crate::moves::debt`], so that a reporter that dies is followed by another.
    Lost {
        /// The job to report as failed; `None` when it is over, waits again, or is another launch's.
        report: Option<JobKey>,
        /// The writes.
        plan: Plan,
    },
}

/// Decides about a bound launch and the row of its job.
///
/// A report is safe while GitLab cannot have handed the job to another runner: after our runner accepted it, or
/// within [`limits::SILENCE_LIMIT`] of the binding, when an offer that was not accepted is still ours (GitLab refuses
/// the report of a job that is only offered). Between the two, a job that was bound, never known to be accepted and
/// silent for longer may be a foreign runner's by now: it is left to GitLab.
#[must_use]
pub fn lost(launch: &LaunchRow, job: Option<&JobRow>, evidence: Evidence, now: Timestamp) -> Loss {
    if launch.state != LaunchState::Bound {
        return Loss::NotLost(format!("the launch is {:?}", launch.state));
    }
    if evidence == Evidence::RowOnly && now < launch.lease_until {
        return Loss::NotLost(format!("its lease runs until {}", launch.lease_until.0));
    }
    let why = if evidence == Evidence::Removal { "the stack is removed" } else { "lost: no heartbeat" };
    let mut after = launch.clone();
    let own = job.filter(|job| job.launch.as_ref() == Some(&launch.launch) && Some(job.key()) == launch.bound_job);
    let report = own.filter(|job| job.state != JobState::Ended && may_report(launch, now)).map(JobRow::key);
    match report {
        Some(_) => after.owe_report(now, why),
        None => after.retire(now, why),
    }
    let plan = Plan::because(why).with_some(put(Some(launch), after));
    let freed = own.and_then(|job| put(Some(job), freed(job, launch.accepted, report.is_some(), now)));
    Loss::Lost { report, plan: plan.with_some(freed) }
}

pub(super) fn may_report(launch: &LaunchRow, now: Timestamp) -> bool {
    launch.accepted || launch.times.bound_at.is_some_and(|bound| now < bound + limits::SILENCE_LIMIT)
}

/// The job's row without its launch.
fn freed(job: &JobRow, accepted: bool, reported: bool, now: Timestamp) -> JobRow {
    let mut after = job.clone();
    if job.state == JobState::Ended {
        after.retire(now);
    } else if job.gitlab_status == JobStatus::Pending || (!accepted && job.gitlab_status.precedes_running()) {
        // The last that GitLab told us is `pending`, or its hook was lost or is late: if the job was only offered, it is
        // handed out again, and whoever tells that it is pending finds it waiting.
        after.launch = None;
        after.enter(JobState::Waiting, now, "its launch was lost");
        after.due_at(now + limits::CHARGE_GRACE);
    } else if reported {
        "its launch was lost".clone_into(&mut after.reason);
        after.due_at(now + limits::SETTLE_CHECK);
    } else {
        after.launch = None;
        // It was ours once: nothing is to be learned from its end.
        after.by_default = false;
        after.enter(JobState::Foreign, now, "its launch was lost before it is known to have accepted the job");
        after.retire(now);
    }
    after
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::moves::testing::{T0, bound_pair, event, job_of, key};
    use crate::moves::{Announce, record};
    use crate::time::Millis;

    #[test]
    fn a_silent_launch_is_reported_once_its_lease_is_over_and_only_while_the_job_names_it() {
        let (job, launch) = bound_pair(1, "l-1");
        let job = JobRow { gitlab_status: JobStatus::Running, ..job };
        let launch = LaunchRow { accepted: true, ..launch };
        let end = launch.lease_until;
        assert!(matches!(lost(&launch, Some(&job), Evidence::RowOnly, end - Millis(1)), Loss::NotLost(_)));
        let Loss::Lost { report, .. } = lost(&launch, Some(&job), Evidence::RowOnly, end) else { panic!("not lost") };
        assert_eq!(report, Some(key(1)));
        let rebound = JobRow { launch: Some(crate::id::LaunchId::new("l-2")), ..job };
        let Loss::Lost { report, plan } = lost(&launch, Some(&rebound), Evidence::RowOnly, end) else {
            panic!("not lost")
        };
        assert_eq!((report, plan.changes.len()), (None, 1), "another launch runs it: nothing is reported");
    }

    #[test]
    fn what_was_not_accepted_waits_again_and_is_reported_only_while_nobody_else_can_have_it() {
        let (job, launch) = bound_pair(1, "l-1");
        let at = |now, status| {
            let job = JobRow { gitlab_status: status, ..job.clone() };
            let Loss::Lost { report, plan } = lost(&launch, Some(&job), Evidence::HostGone, now) else {
                panic!("not lost")
            };
            (report, job_of(&plan).state)
        };
        let late = T0 + limits::SILENCE_LIMIT;
        assert_eq!(at(T0, JobStatus::Pending), (Some(key(1)), JobState::Waiting));
        assert_eq!(at(late, JobStatus::Pending), (None, JobState::Waiting));
        assert_eq!(at(late, JobStatus::Running), (None, JobState::Foreign));
    }

    #[test]
    fn what_was_not_accepted_and_had_no_hook_waits_for_whoever_tells_of_it() {
        let (job, launch) = bound_pair(1, "l-1");
        let job = JobRow { gitlab_status: JobRow::new(key(1), T0).gitlab_status, ..job };
        let lost_at = |now| lost(&launch, Some(&job), Evidence::HostGone, now);
        for now in [T0, T0 + limits::SILENCE_LIMIT] {
            let Loss::Lost { plan, .. } = lost_at(now) else { panic!("not lost") };
            let freed = job_of(&plan);
            assert_eq!((freed.state, freed.launch.clone()), (JobState::Waiting, None));
            let told = record(Some(&freed), &event("pending"), now);
            assert_eq!((job_of(&told.plan).state, told.announce), (JobState::Waiting, Some(Announce::Pending)));
        }
        let accepted = LaunchRow { accepted: true, ..launch };
        let Loss::Lost { plan, .. } = lost(&accepted, Some(&job), Evidence::HostGone, T0) else { panic!("not lost") };
        assert_eq!(job_of(&plan).state, JobState::Bound, "GitLab is told that it failed, and says so");
    }
}
