//! Give back: what the runner got and may not keep.

use crate::change::{Change, Plan, put};
use crate::job::{JobRow, JobState};
use crate::launch::{LaunchRow, LaunchState};
use crate::moves::End;
use crate::moves::bind::waits_anew;
use crate::moves::close::free;
use crate::time::Timestamp;

/// The rows that giving a job back looks at.
#[derive(Clone, Copy, Debug)]
pub struct GiveBackRows<'a> {
    /// The launch whose runner got the job.
    pub launch: &'a LaunchRow,
    /// The row of the job that it got; `None` when there is none.
    pub got: Option<&'a JobRow>,
    /// The row of the job that the launch is charged to, if that is another one.
    pub charged: Option<&'a JobRow>,
}

/// The runner cannot keep the job (refused, late, or GitLab took it back): the launch ends. The job's row, if it still
/// names this launch, waits again; a job that is charged to this launch gets its next attempt as after any launch that
/// served nobody. Only where the launch was given another job that ended before it could be bound, it waits as if that one
/// had been: due at once, and no attempt is burnt. Such a launch was as good as any, and GitLab offers a job that is over to
/// nobody again.
#[must_use]
pub fn give_back(rows: GiveBackRows<'_>, why: &str, now: Timestamp) -> Plan {
    let launch = rows.launch;
    let reason = format!("gives its job back: {why}");
    let mut plan = Plan::because(reason.clone());
    if launch.state != LaunchState::Closed {
        let mut after = launch.clone();
        after.retire(now, reason.clone());
        plan.changes.extend(put(Some(launch), after));
    }
    let unbound = rows.got.and_then(|row| unbind(launch, row, &reason, now));
    let end = End::Fruitless(reason);
    let own = rows.got.and_then(|row| free(launch, row, &end, now));
    let charged = rows.charged.and_then(|row| match rows.got {
        Some(got) if got.gitlab_status.is_ended() => passed_over(launch, row, now),
        _ => free(launch, row, &end, now),
    });
    plan.changes.extend(unbound.into_iter().chain(own).chain(charged));
    plan
}

/// The charged job's row: another job used its launch up.
fn passed_over(launch: &LaunchRow, row: &JobRow, now: Timestamp) -> Option<Change> {
    let is_its = row.state == JobState::Charged && row.charge.as_ref() == Some(&launch.launch);
    is_its.then(|| waits_anew(row, now)).flatten()
}

fn unbind(launch: &LaunchRow, row: &JobRow, reason: &str, now: Timestamp) -> Option<Change> {
    if row.state != JobState::Bound || row.launch.as_ref() != Some(&launch.launch) {
        return None;
    }
    let mut after = row.clone();
    after.launch = None;
    after.enter(JobState::Waiting, now, reason);
    after.due_at(now);
    put(Some(row), after)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::LaunchId;
    use crate::moves::testing::{T0, charged_pair, job_with_id, key, launch_with_id, pending_job, polling, secs};
    use crate::moves::{BindRows, bind};
    use crate::status::JobStatus;

    #[test]
    fn giving_back_frees_only_a_row_that_still_names_the_launch() {
        let (a, l1) = charged_pair(1, "l-1");
        let l1 = polling(&l1);
        let plan = bind(BindRows { launch: &l1, got: Some(&a), gots_charge: None, charged: None }, key(1), T0).unwrap();
        let (bound, job) = (launch_with_id(&plan, "l-1"), job_with_id(&plan, 1));
        let back = |got| give_back(GiveBackRows { launch: &bound, got: Some(got), charged: None }, "refused", secs(2));
        assert_eq!(job_with_id(&back(&job), 1).state, JobState::Waiting);
        assert_eq!(launch_with_id(&back(&job), "l-1").state, LaunchState::Closed);
        let others = JobRow { launch: Some(LaunchId::new("l-9")), ..job.clone() };
        assert_eq!(back(&others).changes.len(), 1, "only the launch's own row");
    }

    #[test]
    fn a_job_whose_own_launch_could_not_bind_it_gets_another_attempt() {
        let (a, l1) = charged_pair(1, "l-1");
        let l1 = polling(&l1);
        let back = give_back(GiveBackRows { launch: &l1, got: Some(&a), charged: None }, "too late", secs(2));
        let freed = job_with_id(&back, 1);
        assert_eq!((freed.state, freed.charge, freed.fruitless), (JobState::Waiting, None, 1));
    }

    #[test]
    fn a_job_whose_launch_got_another_and_could_not_bind_it_gets_another_attempt() {
        let (a, l1) = charged_pair(1, "l-1");
        let (b, _) = charged_pair(2, "l-2");
        let l1 = polling(&l1);
        let back = give_back(GiveBackRows { launch: &l1, got: Some(&b), charged: Some(&a) }, "too late", secs(2));
        assert_eq!(
            (job_with_id(&back, 1).state, back.changes.len()),
            (JobState::Waiting, 2),
            "the other row is left alone"
        );
        assert_eq!(job_with_id(&back, 1).fruitless, 1);
    }

    #[test]
    fn a_job_whose_launch_got_one_that_had_just_ended_is_due_at_once_and_has_lost_no_attempt() {
        let (a, l1) = charged_pair(1, "l-1");
        let l1 = polling(&l1);
        let ended = JobRow { gitlab_status: JobStatus::Ended("canceled"), state: JobState::Ended, ..pending_job(2) };
        let rows = |a| GiveBackRows { launch: &l1, got: Some(&ended), charged: Some(a) };
        let back = give_back(rows(&a), "refused", secs(2));
        let waits = job_with_id(&back, 1);
        assert_eq!((waits.state, waits.charge, waits.fruitless), (JobState::Waiting, None, 0));
        assert_eq!((waits.due.next_check_at, back.changes.len()), (Some(secs(2)), 2));
        assert_eq!(launch_with_id(&back, "l-1").state, LaunchState::Closed);
        let elsewhere = JobRow { charge: Some(LaunchId::new("l-9")), ..a.clone() };
        assert_eq!(give_back(rows(&elsewhere), "refused", secs(2)).changes.len(), 1, "another launch is charged to it");
    }
}
