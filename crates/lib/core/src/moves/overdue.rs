//! Overdue: what a row asks for whose time has come, or whose events never did.

use crate::change::{Plan, put};
use crate::job::{JobRow, JobState};
use crate::launch::{LaunchRow, LaunchState};
use crate::limits;
use crate::moves::End;
use crate::status::JobStatus;
use crate::time::{Millis, Timestamp};

/// What a due job row asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum DueJob {
    /// It waits for a launch.
    NeedsLaunch,
    /// It ended, and its launch is to be settled.
    NeedsSettling,
    /// Its launch is over and GitLab's word about its end did not come: GitLab is asked, if it can be.
    NeedsWord(Plan),
    /// GitLab gave it to our own runner, and no launch is bound to it. When that is so at `at`, its 201 was lost:
    /// worth an alarm, and then this is written.
    Unaccounted {
        /// When the binding cannot come any more.
        at: Timestamp,
        /// The writes.
        plan: Plan,
    },
    /// Only its row is to be put right.
    Write(Plan),
    /// Nothing.
    Nothing,
}

/// What a due launch row asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DueLaunch {
    /// It was charged, and its request may never have gone out.
    NeedsStart,
    /// It will take no job any more: closed and concluded, for this reason.
    NeedsStop(End),
    /// It is bound and silent.
    MaybeLost,
    /// It is bound, and the operator does not wait for it, see [`crate::moves::drained_launch`].
    WriteOff,
    /// It is over, and GitLab is still to be told about its job, see [`crate::moves::debt`].
    OwesReport,
    /// Nothing.
    Nothing,
}

/// How long after the end of its launch a job's end hook may be late before it is asked for again.
const WORD: Millis = Millis::minutes(10);

/// Decides about a job row. `launch` is the row that its charge or its binding names; `None` when that is gone.
#[must_use]
pub fn due_job(job: &JobRow, launch: Option<&LaunchRow>, now: Timestamp) -> DueJob {
    if job.due.next_check_at.is_none_or(|at| at > now) {
        return DueJob::Nothing;
    }
    let live = launch.filter(|launch| launch.state != LaunchState::Closed);
    match job.state {
        JobState::Ended => DueJob::NeedsSettling,
        JobState::Waiting | JobState::Unserved if job.gitlab_status == JobStatus::Pending => {
            match waits_too_long(job, now) {
                true => given_up(job, now),
                false => DueJob::NeedsLaunch,
            }
        }
        JobState::Charged => match live {
            Some(launch) if launch.lease_until > now => postponed(job, launch.lease_until),
            // The launch's own row is due too, and frees the job when it is concluded.
            Some(_) => postponed(job, now + limits::SETTLE_CHECK),
            None => waits_again(job, now),
        },
        JobState::Bound => match live {
            Some(launch) if launch.state == LaunchState::Closing => postponed(job, now + limits::SETTLE_CHECK),
            Some(launch) => postponed(job, launch.deadline.max(now + limits::SETTLE_CHECK)),
            None => without_word(job, now),
        },
        JobState::Foreign if job.gitlab_status == JobStatus::Running => unaccounted(job, now),
        JobState::Waiting | JobState::Unserved | JobState::Foreign | JobState::NotOurs => {
            let mut after = job.clone();
            after.retire(now);
            DueJob::Write(Plan::because("nothing is left to do").with_some(put(Some(job), after)))
        }
    }
}

/// GitLab has dropped a job that was pending for so long, and its hook was lost.
fn waits_too_long(job: &JobRow, now: Timestamp) -> bool {
    job.times.ingested_at.is_some_and(|at| now - at > limits::PENDING_LIMIT)
}

fn given_up(job: &JobRow, now: Timestamp) -> DueJob {
    let why = "GitLab drops a job that is pending for a day, and its hook did not come";
    let mut after = job.clone();
    after.reason = format!("{why}; before: {}", job.reason);
    after.retire(now);
    DueJob::Write(Plan::because(why).with_some(put(Some(job), after)))
}

/// A foreign runner's job is never due: this one was given to our runner, see [`crate::moves::record`].
fn unaccounted(job: &JobRow, now: Timestamp) -> DueJob {
    let why =
        "GitLab gave the job to our runner, whose answer was lost: GitLab ends it when it stays silent for an hour";
    let mut after = job.clone();
    why.clone_into(&mut after.reason);
    after.retire(now);
    let since = job.times.foreign_at.unwrap_or(now);
    DueJob::Unaccounted { at: since + limits::UNBOUND_GRACE, plan: Plan::because(why).with_some(put(Some(job), after)) }
}

fn postponed(job: &JobRow, until: Timestamp) -> DueJob {
    let mut after = job.clone();
    after.due_at(until);
    DueJob::Write(Plan::because("its launch is under way").with_some(put(Some(job), after)))
}

fn waits_again(job: &JobRow, now: Timestamp) -> DueJob {
    let mut after = job.clone();
    after.charge = None;
    after.enter(JobState::Waiting, now, "its launch is gone");
    after.due_at(now);
    DueJob::Write(Plan::because("its launch is gone").with_some(put(Some(job), after)))
}

fn without_word(job: &JobRow, now: Timestamp) -> DueJob {
    let mut after = job.clone();
    let since = job.times.bound_at.unwrap_or(now);
    if now - since > limits::KEEP_CLOSED_ROWS {
        after.retire(now);
        return DueJob::Write(Plan::because("no word of its end came in time").with_some(put(Some(job), after)));
    }
    // The longer the silence, the longer the pause.
    after.due_at(now + (now - since).max(WORD).min(Millis::days(1)));
    DueJob::NeedsWord(
        Plan::because("its launch is over and its end hook did not come").with_some(put(Some(job), after)),
    )
}

/// Decides about a launch row.
#[must_use]
pub fn due_launch(launch: &LaunchRow, now: Timestamp) -> DueLaunch {
    if launch.due.next_check_at.is_none_or(|at| at > now) {
        return DueLaunch::Nothing;
    }
    let over = now >= launch.lease_until;
    match launch.state {
        LaunchState::Charged if !over && launch.request.is_some() => DueLaunch::NeedsStart,
        LaunchState::Charged if over => DueLaunch::NeedsStop(End::NeverStarted {
            reason: "its request did not go out in time".to_owned(),
            retry_in: limits::RETRY_BACKOFF[0],
        }),
        // AWS took it and did not say that it dropped it: a target that runs and never begins is not worth many tries.
        LaunchState::Starting if over => {
            DueLaunch::NeedsStop(End::Fruitless("its runner did not begin in time".to_owned()))
        }
        LaunchState::Polling if over => {
            DueLaunch::NeedsStop(End::Fruitless("its runner asked and went silent".to_owned()))
        }
        LaunchState::Closing if launch.owes_report() => DueLaunch::OwesReport,
        LaunchState::Closing => {
            let reason = launch.end_reason.clone().unwrap_or_else(|| "it was stopped".to_owned());
            DueLaunch::NeedsStop(End::Fruitless(reason))
        }
        LaunchState::Bound if over => DueLaunch::MaybeLost,
        _ => DueLaunch::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::moves::testing::{T0, bound_pair, charged_pair, job_of, pending_job, polling, secs};

    fn closed(launch: LaunchRow) -> LaunchRow {
        LaunchRow { state: LaunchState::Closed, ..launch }
    }

    #[test]
    fn nothing_is_done_about_a_row_before_its_time() {
        let waiting = pending_job(1);
        let at = waiting.due.next_check_at.unwrap();
        assert_eq!(due_job(&waiting, None, at - Millis(1)), DueJob::Nothing);
        assert_eq!(due_job(&waiting, None, at), DueJob::NeedsLaunch);
        let (_, launch) = charged_pair(1, "l-1");
        assert_eq!(due_launch(&launch, T0), DueLaunch::Nothing);
    }

    #[test]
    fn a_charged_job_waits_for_its_launch_and_no_longer() {
        let (job, launch) = charged_pair(1, "l-1");
        let at = job.due.next_check_at.unwrap();
        let longer = LaunchRow { lease_until: at + Millis::secs(30), ..launch.clone() };
        let DueJob::Write(plan) = due_job(&job, Some(&longer), at) else { panic!("not postponed") };
        assert_eq!(job_of(&plan).due.next_check_at, Some(longer.lease_until));
        for gone in [None, Some(closed(launch))] {
            let DueJob::Write(plan) = due_job(&job, gone.as_ref(), at) else { panic!("not freed") };
            assert_eq!((job_of(&plan).state, job_of(&plan).charge), (JobState::Waiting, None));
        }
    }

    #[test]
    fn a_job_that_runs_is_left_alone_until_its_launch_must_be_over() {
        let (job, launch) = bound_pair(1, "l-1");
        let at = job.due.next_check_at.unwrap();
        let DueJob::Write(plan) = due_job(&job, Some(&launch), at) else { panic!("not postponed") };
        assert_eq!((job_of(&plan).state, job_of(&plan).due.next_check_at), (JobState::Bound, Some(launch.deadline)));
        assert!(matches!(due_job(&job, Some(&closed(launch.clone())), at), DueJob::NeedsWord(_)));
        let ages = T0 + limits::KEEP_CLOSED_ROWS + Millis::minutes(1);
        let DueJob::Write(plan) = due_job(&job, Some(&closed(launch)), ages) else { panic!("kept for ever") };
        assert!(job_of(&plan).expires_at.is_some());
    }

    #[test]
    fn a_job_that_our_runner_has_without_a_launch_is_unaccounted_for_once_no_binding_can_come() {
        let mut job = JobRow { gitlab_status: JobStatus::Running, ..pending_job(1) };
        job.enter(JobState::Foreign, secs(1), "our runner has it");
        job.due_at(secs(1));
        let DueJob::Unaccounted { at, plan } = due_job(&job, None, secs(5)) else { panic!("overlooked") };
        assert_eq!(at, secs(1) + limits::BIND_LIMIT);
        assert_eq!(job_of(&plan).due.next_check_at, None, "one alarm");
        job.retire(secs(2));
        assert_eq!(due_job(&job, None, secs(600)), DueJob::Nothing, "a foreign runner's");
    }

    #[test]
    fn no_job_is_launched_for_for_ever() {
        let job = pending_job(1);
        assert_eq!(due_job(&job, None, T0 + limits::PENDING_LIMIT), DueJob::NeedsLaunch);
        let DueJob::Write(plan) = due_job(&job, None, T0 + limits::PENDING_LIMIT + Millis(1)) else {
            panic!("launched")
        };
        assert!(job_of(&plan).expires_at.is_some() && job_of(&plan).reason.contains("a day"));
    }

    #[test]
    fn each_state_of_a_silent_launch_has_its_end() {
        let (_, charged) = charged_pair(1, "l-1");
        let grace = T0 + limits::CHARGE_GRACE;
        assert_eq!(due_launch(&charged, grace), DueLaunch::NeedsStart);
        assert!(matches!(due_launch(&charged, charged.lease_until), DueLaunch::NeedsStop(End::NeverStarted { .. })));
        let starting = LaunchRow { state: LaunchState::Starting, ..charged.clone() };
        assert!(matches!(due_launch(&starting, charged.lease_until), DueLaunch::NeedsStop(End::Fruitless(_))));
        let asking = polling(&charged);
        assert!(matches!(due_launch(&asking, asking.lease_until), DueLaunch::NeedsStop(End::Fruitless(_))));
        let (_, bound) = bound_pair(1, "l-1");
        assert_eq!(due_launch(&bound, secs(10)), DueLaunch::Nothing);
        assert_eq!(due_launch(&bound, bound.lease_until), DueLaunch::MaybeLost);
        assert_eq!(due_launch(&closed(bound), secs(99_999)), DueLaunch::Nothing);
    }
}
