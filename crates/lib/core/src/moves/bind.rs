//! Bind: what the runner really got from GitLab.

use crate::cache::NamedCaches;
use crate::change::{Change, Plan, put};
use crate::id::{JobKey, LaunchId};
use crate::job::{JobRow, JobState};
use crate::launch::{LaunchRow, LaunchState};
use crate::limits;
use crate::moves::assign::assigned;
use crate::sealed::SealedToken;
use crate::time::{Millis, Timestamp};

/// The rows that a binding looks at, read consistently before it is decided.
#[derive(Clone, Copy, Debug)]
pub struct BindRows<'a> {
    /// The launch whose runner got the job.
    pub launch: &'a LaunchRow,
    /// The row of the job that it got, B; `None` when no hook of B was seen yet.
    pub got: Option<&'a JobRow>,
    /// B's own launch, if B's row names a charge.
    pub gots_charge: Option<&'a LaunchRow>,
    /// The row of the job that the launch is charged to, A, if that is another one.
    pub charged: Option<&'a JobRow>,
}

/// What a runner says when it binds the job that it got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Got {
    /// The job.
    pub job: JobKey,
    /// Its token, to report it with should the runner be lost.
    pub job_token: Option<SealedToken>,
    /// How often the runner will give a sign of life; `None` for one that renews once a minute.
    pub beat_ms: Option<Millis>,
    /// The caches that the job names, see [`crate::cache`].
    pub caches: NamedCaches,
}

impl From<JobKey> for Got {
    /// A runner that leaves nothing to report its job with.
    fn from(job: JobKey) -> Self {
        Self { job, job_token: None, beat_ms: None, caches: NamedCaches::default() }
    }
}

/// Why a runner may not keep the job that GitLab offered: it gives it back.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BindRefused {
    /// The launch is being stopped, was never allowed to ask, or is over.
    #[error("the launch is {0:?}")]
    NotPolling(LaunchState),
    /// The launch runs another job; one launch takes one job.
    #[error("the launch is bound to job {0}")]
    HasAnother(JobKey),
    /// GitLab told us already that the job is over.
    #[error("the job has ended")]
    JobEnded,
}

/// Binds launch and job: B's row names this launch over any older binding, because the newest 201 is GitLab's word;
/// a job A that loses its launch gets B's spare one where that can serve it, else it is due at once.
///
/// # Errors
/// Why the runner must give the job back.
pub fn bind(rows: BindRows<'_>, got: impl Into<Got>, now: Timestamp) -> Result<Plan, BindRefused> {
    let (launch, got) = (rows.launch, got.into());
    let job = got.job;
    match (launch.state, launch.bound_job) {
        (LaunchState::Polling, _) => {}
        (LaunchState::Bound, Some(bound)) if bound == job => return Ok(Plan::because("is bound")),
        (LaunchState::Bound, Some(bound)) => return Err(BindRefused::HasAnother(bound)),
        (state, _) => return Err(BindRefused::NotPolling(state)),
    }
    if rows.got.is_some_and(|row| row.gitlab_status.is_ended()) {
        return Err(BindRefused::JobEnded);
    }
    let spare = rows.gots_charge.filter(|spare| is_spare(spare, launch, job));
    let mut plan = Plan::because(format!("its runner got job {job}"))
        .with_some(bound_launch(launch, got, now))
        .with_some(bound_job(rows.got, launch, job, now));
    if let Some(a) = rows.charged.filter(|a| loses_its_launch(a, &launch.launch, job)) {
        plan.changes.extend(recharge(a, spare, now));
    }
    Ok(plan)
}

/// A launch that was started for the job that is bound now, and can still take another.
fn is_spare(spare: &LaunchRow, launch: &LaunchRow, job: JobKey) -> bool {
    spare.launch != launch.launch && spare.charged_to == Some(job) && spare.is_unbound_live()
}

fn loses_its_launch(a: &JobRow, launch: &LaunchId, got: JobKey) -> bool {
    a.key() != got && a.state == JobState::Charged && a.charge.as_ref() == Some(launch)
}

fn bound_launch(launch: &LaunchRow, got: Got, now: Timestamp) -> Option<Change> {
    let mut after = launch.clone();
    after.enter(LaunchState::Bound, now);
    after.bound_job = Some(got.job);
    after.job_token = got.job_token;
    after.beat_ms = got.beat_ms;
    after.caches = got.caches;
    after.lease((now + limits::HEARTBEAT_LEASE).min(launch.deadline.max(now)));
    put(Some(launch), after)
}

fn bound_job(got: Option<&JobRow>, launch: &LaunchRow, job: JobKey, now: Timestamp) -> Option<Change> {
    let mut after = got.cloned().unwrap_or_else(|| JobRow::new(job, now));
    after.charge = None;
    after.fruitless = 0;
    after.launch = Some(launch.launch.clone());
    after.lane = after.lane.or_else(|| Some(launch.lane.clone()));
    after.enter(JobState::Bound, now, format!("launch {} has it", launch.launch));
    after.due_at(now + limits::HEARTBEAT_LEASE);
    put(got, after)
}

/// A's launch went to B: A gets the spare launch of B, or waits, due at once.
fn recharge(a: &JobRow, spare: Option<&LaunchRow>, now: Timestamp) -> Vec<Change> {
    let spare = spare.filter(|spare| spare.can_serve(a.lane.as_ref(), a.tags.as_ref()));
    match spare {
        Some(spare) => assigned(a, spare, PASSED_OVER, now),
        None => waits_anew(a, now).into_iter().collect(),
    }
}

/// Why a job waits whose launch took another one.
const PASSED_OVER: &str = "its launch got another job";

/// A's launch got another job: it waits, due at once.
pub(super) fn waits_anew(a: &JobRow, now: Timestamp) -> Option<Change> {
    let mut job = a.clone();
    job.charge = None;
    job.enter(JobState::Waiting, now, PASSED_OVER);
    job.due_at(now);
    put(Some(a), job)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::moves::testing::{
        T0, charged_pair, job_of, job_with_id, key, launch_with_id, pending_job, polling, secs,
    };
    use crate::moves::{Evidence, close};
    use crate::status::JobStatus;

    #[test]
    fn a_launch_for_a_gets_b_and_bs_spare_launch_is_charged_to_a() {
        let (a, l1) = charged_pair(1, "l-1");
        let (b, l2) = charged_pair(2, "l-2");
        let l1 = polling(&l1);
        let rows = BindRows { launch: &l1, got: Some(&b), gots_charge: Some(&l2), charged: Some(&a) };
        let plan = bind(rows, key(2), secs(3)).unwrap();
        assert_eq!(launch_with_id(&plan, "l-1").bound_job, Some(key(2)));
        let (a, b) = (job_with_id(&plan, 1), job_with_id(&plan, 2));
        assert_eq!((b.state, b.launch.unwrap().as_str().to_owned(), b.charge), (JobState::Bound, "l-1".into(), None));
        assert_eq!((a.state, a.charge.unwrap().as_str().to_owned()), (JobState::Charged, "l-2".into()));
        assert_eq!(launch_with_id(&plan, "l-2").charged_to, Some(key(1)));
    }

    #[test]
    fn a_spare_launch_that_cannot_serve_a_leaves_a_due_at_once() {
        let (mut a, l1) = charged_pair(1, "l-1");
        let (b, l2) = charged_pair(2, "l-2");
        a.tags = Some(crate::lane::TagSet::new(["other"]).unwrap());
        let l1 = polling(&l1);
        let rows = BindRows { launch: &l1, got: Some(&b), gots_charge: Some(&l2), charged: Some(&a) };
        let after = job_with_id(&bind(rows, key(2), secs(3)).unwrap(), 1);
        assert_eq!((after.state, after.charge, after.due.next_check_at), (JobState::Waiting, None, Some(secs(3))));
    }

    #[test]
    fn a_closing_launch_binds_nothing_and_a_bound_one_is_not_closed() {
        let (a, l1) = charged_pair(1, "l-1");
        let l1 = polling(&l1);
        let rows = |launch| BindRows { launch, got: Some(&a), gots_charge: None, charged: None };
        let closing = launch_with_id(&close(&l1, Evidence::HostGone, "test", secs(5)).unwrap(), "l-1");
        assert_eq!(bind(rows(&closing), key(1), secs(5)), Err(BindRefused::NotPolling(LaunchState::Closing)));
        let bound = launch_with_id(&bind(rows(&l1), key(1), secs(5)).unwrap(), "l-1");
        assert!(close(&bound, Evidence::HostGone, "test", secs(999_999)).is_err());
        // Both wrote on the same revision of the launch row, so that of a bind and a close at once exactly one wins.
        let revs = |plan: Plan| plan.changes.iter().find(|c| c.pk == "launch#l-1").unwrap().expect;
        assert_eq!(
            revs(bind(rows(&l1), key(1), secs(5)).unwrap()),
            revs(close(&l1, Evidence::HostGone, "test", secs(5)).unwrap())
        );
    }

    #[test]
    fn the_newest_201_overrides_an_older_binding() {
        let (_, l1) = charged_pair(1, "l-1");
        let l1 = polling(&l1);
        let b = JobRow { state: JobState::Bound, launch: Some(LaunchId::new("l-0")), ..pending_job(2) };
        let rows = BindRows { launch: &l1, got: Some(&b), gots_charge: None, charged: None };
        assert_eq!(job_with_id(&bind(rows, key(2), T0).unwrap(), 2).launch, Some(LaunchId::new("l-1")));
    }

    #[test]
    fn a_job_that_no_hook_told_us_of_is_bound_all_the_same() {
        let (_, l1) = charged_pair(1, "l-1");
        let l1 = polling(&l1);
        let rows = BindRows { launch: &l1, got: None, gots_charge: None, charged: None };
        let plan = bind(rows, key(7), T0).unwrap();
        assert_eq!(job_of(&plan).key(), key(7));
        assert_eq!(job_of(&plan).state, JobState::Bound);
    }

    #[test]
    fn an_ended_job_and_a_second_job_are_refused_and_a_repeated_bind_changes_nothing() {
        let (_, l1) = charged_pair(1, "l-1");
        let l1 = polling(&l1);
        let ended = JobRow { gitlab_status: JobStatus::Ended("canceled"), state: JobState::Ended, ..pending_job(2) };
        let rows = BindRows { launch: &l1, got: Some(&ended), gots_charge: None, charged: None };
        assert_eq!(bind(rows, key(2), T0), Err(BindRefused::JobEnded));
        let none = |launch| BindRows { launch, got: None, gots_charge: None, charged: None };
        let bound = launch_with_id(&bind(none(&l1), key(3), T0).unwrap(), "l-1");
        assert!(bind(none(&bound), key(3), T0).unwrap().changes.is_empty());
        assert_eq!(bind(none(&bound), key(4), T0), Err(BindRefused::HasAnother(key(3))));
    }
}
