//! Settle: the end of a job stops the launch that its row names, and no other.

use crate::change::{Plan, put};
use crate::job::{JobRow, JobState};
use crate::lane::Engine;
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
    /// The instance is to be terminated, then the launch concluded.
    Stop {
        /// The instance, which we recorded when we started it.
        instance: String,
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
    match (launch.engine, &launch.instance_id) {
        (Engine::Ec2, Some(instance)) => Settlement::Stop { instance: instance.clone() },
        _ => {
            let mut after = job.clone();
            after.due_at(now + limits::SETTLE_CHECK);
            Settlement::EndsItself(
                Plan::because("its function reports and ends by itself").with_some(put(Some(job), after)),
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::moves::testing::{T0, bound_pair, job_of};
    use crate::status::JobStatus;

    fn ended(job: JobRow) -> JobRow {
        JobRow { state: JobState::Ended, gitlab_status: JobStatus::Ended("success"), ..job }
    }

    #[test]
    fn only_the_launch_that_the_row_names_is_stopped() {
        let (job, launch) = bound_pair(2, "l-1");
        let ec2 = LaunchRow { engine: Engine::Ec2, instance_id: Some("i-1".into()), ..launch };
        assert_eq!(settle(&ended(job.clone()), Some(&ec2), T0), Settlement::Stop { instance: "i-1".into() });
        let others = LaunchRow { bound_job: Some(crate::moves::testing::key(9)), ..ec2.clone() };
        assert!(matches!(settle(&ended(job.clone()), Some(&others), T0), Settlement::Retire(_)));
        assert!(matches!(settle(&job, Some(&ec2), T0), Settlement::Nothing(_)), "a job that runs stops nothing");
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
