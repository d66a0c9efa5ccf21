//! Assign: a launch under way that its own job needs no more goes to a job that waits.

use crate::change::{Change, Plan, put};
use crate::job::{JobRow, JobState};
use crate::launch::LaunchRow;
use crate::moves::charge::{NotCharged, may_charge};
use crate::time::Timestamp;

/// Whether a launch can still take a job and its own needs it no more. `owner` is the row of the job that it is charged
/// to; `None` when there is none. A sentinel that began has asked the only time that it asks. An official runner that began may have
/// a job already.
#[must_use]
pub fn is_free(launch: &LaunchRow, owner: Option<&JobRow>) -> bool {
    if launch.charged_to.is_none() {
        return launch.never_began();
    }
    let needed = |job: &JobRow| {
        launch.charged_to == Some(job.key())
            && job.state == JobState::Charged
            && job.charge.as_ref() == Some(&launch.launch)
    };
    launch.is_unbound_live() && !launch.may_run_unknown() && !owner.is_some_and(needed)
}

/// Charges a free launch to a waiting job: what the sweep does with the answers of [`crate::need`]. `owner` is read after
/// the launch: who gives a launch away writes the launch's row, so that what the owner's row said then holds for as long
/// as the launch's revision does.
///
/// # Errors
/// The job is not to be charged (now). `Ok(None)` when the launch can take no job any more, or its own needs it.
pub fn assign(
    job: &JobRow,
    launch: &LaunchRow,
    owner: Option<&JobRow>,
    now: Timestamp,
) -> Result<Option<Plan>, NotCharged> {
    may_charge(job, now)?;
    if !is_free(launch, owner) || !launch.can_serve(job.lane.as_ref(), job.tags.as_ref()) {
        return Ok(None);
    }
    let why = "a launch under way lost its own job";
    Ok(Some(Plan { changes: assigned(job, launch, why, now), reason: why.to_owned() }))
}

pub(super) fn assigned(job: &JobRow, free: &LaunchRow, why: &str, now: Timestamp) -> Vec<Change> {
    let mut after = job.clone();
    after.charge = Some(free.launch.clone());
    after.enter(JobState::Charged, now, format!("{why}; launch {} is free for it", free.launch));
    after.due_at(free.lease_until);
    let mut launch = free.clone();
    launch.charged_to = Some(job.key());
    put(Some(job), after).into_iter().chain(put(Some(free), launch)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::LaunchId;
    use crate::moves::testing::{charged_pair, job_with_id, launch_with_id, pending_job, secs};

    #[test]
    fn a_launch_whose_job_still_waits_for_it_is_given_to_nobody() {
        let (owner, launch) = charged_pair(1, "l-1");
        let waiting = JobRow { lane: Some(launch.lane.clone()), ..pending_job(2) };
        assert_eq!(assign(&waiting, &launch, Some(&owner), secs(1)), Ok(None));
        let elsewhere = JobRow { charge: Some(LaunchId::new("l-2")), ..owner.clone() };
        let bound = JobRow { state: JobState::Bound, charge: None, ..owner };
        for owner in [Some(&elsewhere), Some(&bound), None] {
            let plan = assign(&waiting, &launch, owner, secs(1)).unwrap().expect("nobody needs it");
            assert_eq!(job_with_id(&plan, 2).charge, Some(LaunchId::new("l-1")));
            assert_eq!(launch_with_id(&plan, "l-1").charged_to, Some(waiting.key()));
        }
    }
}
