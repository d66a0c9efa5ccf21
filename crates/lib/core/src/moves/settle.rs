//! Settle: the end of a job stops the launch that its row names, and no other.

use crate::change::{Plan, put};
use crate::job::{JobRow, JobState};
use crate::launch::{LaunchRow, LaunchState};
use crate::limits;
use crate::time::Timestamp;

/// What the end of a job asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Settlement {
    /// Nothing, for this reason.
    Nothing(String),
    /// The launch is gone: the job's row is done with.
    Retire(Plan),
    /// The function ends by itself, and writes so; the sweep looks again.
    EndsItself(Plan),
    /// The job's row is done with; the instance of this launch is to be ended, and then the launch is
    /// [`crate::moves::cleared`]. The sweep does it where nobody else does.
    Stop {
        /// The launch, as the plan leaves it.
        launch: Box<LaunchRow>,
        /// The writes: its runner can bind nothing any more, and the sweep looks at the launch. None where its runner has left
        /// it so.
        plan: Plan,
        /// What is left to write then, together with the clearing: the job's row, which is due until it is written.
        rest: Plan,
    },
}

/// Decides what an ended job's launch needs. `launch` is the row of the launch that the job's row names.
#[must_use]
pub fn settle(job: &JobRow, launch: Option<&LaunchRow>, now: Timestamp) -> Settlement {
    if job.state != JobState::Ended {
        return Settlement::Nothing(format!("the job's row is {:?}", job.state));
    }
    let retire = |why: &str| {
        let mut after = job.clone();
        after.retire(now);
        Settlement::Retire(Plan::because(why).with_some(put(Some(job), after)))
    };
    let Some(launch) = launch.filter(|launch| job.launch.as_ref() == Some(&launch.launch)) else {
        return retire("no launch row is left");
    };
    if launch.bound_job != Some(job.key()) || launch.state == LaunchState::Closed {
        return retire("its launch is over");
    }
    if launch.instance_id.is_some() {
        return stop(job, launch, now);
    }
    let mut after = job.clone();
    after.due_at(now + limits::SETTLE_CHECK);
    Settlement::EndsItself(Plan::because("its function reports and ends by itself").with_some(put(Some(job), after)))
}

/// A debt is none any more: GitLab has ended the job.
fn stop(job: &JobRow, launch: &LaunchRow, now: Timestamp) -> Settlement {
    let why = "GitLab has ended its job";
    let (mut done, mut after) = (job.clone(), launch.clone());
    done.retire(now);
    after.retire(now, why);
    let (stop, done) = (put(Some(launch), after), put(Some(job), done));
    let (with_stop, with_clearing) = if stop.is_some() { (done, None) } else { (None, done) };
    let plan = Plan::because(why).with_some(stop).with_some(with_stop);
    let stands = plan.leaves(&launch.launch.pk()).unwrap_or_else(|| launch.clone());
    Settlement::Stop { launch: Box::new(stands), plan, rest: Plan::because(why).with_some(with_clearing) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::moves::testing::{T0, bound_pair, job_of, launch_of};
    use crate::moves::{End, conclude};
    use crate::sealed::SealedToken;
    use crate::status::JobStatus;

    fn ended(job: JobRow) -> JobRow {
        JobRow { state: JobState::Ended, gitlab_status: JobStatus::Ended("success"), ..job }
    }

    #[test]
    fn only_the_launch_that_the_row_names_is_stopped() {
        let (job, launch) = bound_pair(2, "l-1");
        let ec2 = LaunchRow { instance_id: Some("i-1".into()), ..launch };
        let settled = settle(&ended(job.clone()), Some(&ec2), T0);
        let Settlement::Stop { launch, plan, rest } = settled else { panic!("kept") };
        assert!(rest.changes.is_empty(), "both rows at once");
        let after = launch_of(&plan);
        assert_eq!((launch.rev, *launch), (ec2.rev + 1, after.clone()), "as it stands then");
        assert!(after.is_winding_up() && after.due.next_check_at == Some(T0 + limits::SETTLE_CHECK), "{after:?}");
        assert!(job_of(&plan).expires_at.is_some());
        let others = LaunchRow { bound_job: Some(crate::moves::testing::key(9)), ..ec2.clone() };
        assert!(matches!(settle(&ended(job.clone()), Some(&others), T0), Settlement::Retire(_)));
        assert!(matches!(settle(&job, Some(&ec2), T0), Settlement::Nothing(_)), "a job that runs stops nothing");
    }

    #[test]
    fn an_instance_whose_runner_ended_before_is_stopped_all_the_same() {
        let (job, launch) = bound_pair(2, "l-1");
        let ec2 = LaunchRow { instance_id: Some("i-1".into()), ..launch };
        let done = launch_of(&conclude(&ec2, Some(&job), &End::JobDone("done".into()), T0).unwrap());
        let later = T0 + crate::time::Millis::secs(9);
        let settled = settle(&ended(job.clone()), Some(&done), later);
        let Settlement::Stop { launch, plan, rest } = settled else { panic!("kept") };
        assert_eq!(*launch, done);
        assert!(plan.changes.is_empty(), "the launch is as its runner left it: due for the sweep");
        assert!(job_of(&rest).expires_at.is_some());
        let owing = LaunchRow { job_token: Some(SealedToken::new("sealed")), ..ec2 };
        let owing = launch_of(&conclude(&owing, Some(&job), &End::Untold("x".into()), T0).unwrap());
        let Settlement::Stop { plan, .. } = settle(&ended(job), Some(&owing), later) else { panic!("kept") };
        assert_eq!(launch_of(&plan).job_token, None, "GitLab knows of the end");
    }

    #[test]
    fn a_function_ends_by_itself_and_the_row_retires_when_it_has() {
        let (job, launch) = bound_pair(2, "l-1");
        assert!(matches!(settle(&ended(job.clone()), Some(&launch), T0), Settlement::EndsItself(_)));
        let closed = LaunchRow { state: LaunchState::Closed, ..launch };
        let Settlement::Retire(plan) = settle(&ended(job), Some(&closed), T0) else { panic!("not retired") };
        assert!(job_of(&plan).expires_at.is_some());
    }
}
