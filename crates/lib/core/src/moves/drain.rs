//! Drain: what a launch is asked while the stack is removed.

use crate::drain::Draining;
use crate::launch::{LaunchRow, LaunchState};
use crate::limits;
use crate::moves::{DueLaunch, End, due_launch};
use crate::time::Timestamp;

/// Decides about a launch of a stack that drains. What has not begun is stopped at once, and burns no attempt. What asks is
/// left to ask: it ends by itself, or gets a job, and only its lease says that neither can happen any more. What has a job
/// is waited for, or written off.
#[must_use]
pub fn drained_launch(launch: &LaunchRow, draining: Draining, now: Timestamp) -> DueLaunch {
    match launch.state {
        LaunchState::Charged | LaunchState::Starting => DueLaunch::NeedsStop(End::NeverStarted {
            reason: "the stack is being removed".to_owned(),
            retry_in: limits::CAP_RETRY,
        }),
        LaunchState::Bound if draining == Draining::Now => DueLaunch::WriteOff,
        LaunchState::Polling | LaunchState::Bound | LaunchState::Closing | LaunchState::Closed => {
            due_launch(launch, now)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::Row as _;
    use crate::moves::testing::{T0, bound_pair, charged_pair, job_of, launch_of, polling, secs};
    use crate::moves::{Evidence, Loss, close, conclude, lost};

    #[test]
    fn what_has_not_begun_is_stopped_at_once_at_no_attempts_cost() {
        let (job, launch) = charged_pair(1, "l-1");
        let DueLaunch::NeedsStop(end) = drained_launch(&launch, Draining::Wait, T0) else { panic!("it stays") };
        let closing = launch_of(&close(&launch, Evidence::RowOnly, end.reason(), T0).unwrap());
        let plan = conclude(&closing, Some(&job), &end, T0).unwrap();
        assert_eq!((launch_of(&plan).state, job_of(&plan).fruitless), (LaunchState::Closed, 0));
        assert_eq!(job_of(&plan).charge, None, "its job waits");
    }

    #[test]
    fn what_asks_is_left_until_it_cannot_bind_any_more() {
        let launch = polling(&charged_pair(1, "l-1").1);
        for draining in [Draining::Wait, Draining::Now] {
            assert_eq!(drained_launch(&launch, draining, T0), DueLaunch::Nothing);
            let over = drained_launch(&launch, draining, launch.lease_until);
            assert!(matches!(over, DueLaunch::NeedsStop(_)), "{over:?}");
        }
    }

    #[test]
    fn a_job_is_waited_for_or_written_off_and_reported() {
        let (job, launch) = bound_pair(1, "l-1");
        assert_eq!(drained_launch(&launch, Draining::Wait, T0), DueLaunch::Nothing);
        assert_eq!(drained_launch(&launch, Draining::Now, T0), DueLaunch::WriteOff);
        assert!(matches!(lost(&launch, Some(&job), Evidence::RowOnly, T0), Loss::NotLost(_)), "it is alive");
        let Loss::Lost { report, plan } = lost(&launch, Some(&job), Evidence::Removal, secs(5)) else { panic!("kept") };
        assert_eq!((report, plan.reason.as_str()), (Some(job.key()), "the stack is removed"));
        assert!(plan.changes.iter().any(|change| change.pk == launch.pk()));
    }
}
