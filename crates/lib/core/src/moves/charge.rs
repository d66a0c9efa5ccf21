//! Charge: a waiting job gets a launch. One transaction of the job's row and the new launch's row.

use serde_json::Map;

use crate::cache::NamedCaches;
use crate::change::{Due, Plan, put};
use crate::id::{JobKey, LaneId, LaunchId};
use crate::job::{JobRow, JobState};
use crate::lane::{Engine, Lane};
use crate::launch::{LaunchRow, LaunchState, LaunchTimes};
use crate::limits;
use crate::status::JobStatus;
use crate::time::{Millis, Timestamp};

/// Why a job is not charged now. None of these is an error: each is what a repeated or late event meets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotCharged {
    /// GitLab says that the job waits for no runner.
    #[error("the job is {0}, not pending")]
    NotPending(String),
    /// A launch is under way already.
    #[error("launch {0} is charged to it already")]
    Charged(LaunchId),
    /// It has a runner, or is not for us.
    #[error("the job's row is {0:?}")]
    Taken(JobState),
    /// An earlier launch found nothing, and the next one is not due yet.
    #[error("the next attempt is due at {}", .0.0)]
    NotDue(Timestamp),
}

/// What the charging function drew and froze for the new launch.
#[derive(Clone, Debug, PartialEq)]
pub struct Start {
    /// The new launch's id, random.
    pub launch: LaunchId,
    /// SHA-256 (hex) of the nonce in the request.
    pub nonce_sha256: String,
    /// The system id that its runner will show.
    pub system_id: String,
    /// The request that starts it, complete.
    pub request: String,
    /// Whether the target is started under a tenant id of the launch's own.
    pub isolated: bool,
    /// Whether the default route sent the job to this lane.
    pub by_default: bool,
    /// The longest job of the row that led to the lane, where that says so: an instance's hard end counts on it.
    pub longest: Option<Millis>,
}

/// Whether the job may be charged at `now`: the question before the ids are drawn.
///
/// # Errors
/// Why not.
pub fn may_charge(job: &JobRow, now: Timestamp) -> Result<(), NotCharged> {
    if job.gitlab_status != JobStatus::Pending {
        return Err(NotCharged::NotPending(job.gitlab_status.to_string()));
    }
    if let Some(launch) = &job.charge {
        return Err(NotCharged::Charged(launch.clone()));
    }
    match (job.state, job.due.next_check_at) {
        (JobState::Waiting, Some(at)) if job.fruitless > 0 && at > now => Err(NotCharged::NotDue(at)),
        (JobState::Unserved, Some(at)) if at > now => Err(NotCharged::NotDue(at)),
        (JobState::Waiting | JobState::Unserved | JobState::NotOurs, _) => Ok(()),
        (state, _) => Err(NotCharged::Taken(state)),
    }
}

/// Charges a new launch of `lane` to the job.
///
/// # Errors
/// See [`may_charge`].
pub fn charge(job: &JobRow, lane: &Lane, start: Start, reason: &str, now: Timestamp) -> Result<Plan, NotCharged> {
    may_charge(job, now)?;
    let mut after = job.clone();
    after.attempt += 1;
    after.by_default = start.by_default;
    after.lane = Some(lane.id());
    after.charge = Some(start.launch.clone());
    after.enter(JobState::Charged, now, reason);
    after.due_at(now + start_lease(lane.engine));
    let launch = new_launch(lane, start, Some(job.key()), after.attempt, now);
    Ok(Plan::because(reason).with_some(put(Some(job), after)).with_some(put(None, launch)))
}

/// A launch that is about to be started: for a job as its attempt of this number, or for none.
pub(super) fn new_launch(
    lane: &Lane,
    start: Start,
    charged_to: Option<JobKey>,
    attempt: u32,
    now: Timestamp,
) -> LaunchRow {
    let pk = start.launch.pk();
    let lease_until = now + start_lease(lane.engine);
    LaunchRow {
        rev: 0,
        state: LaunchState::Charged,
        lane: lane.id(),
        lane_tags: lane.tags.clone(),
        run_untagged: lane.run_untagged,
        engine: lane.engine,
        target: lane.target.clone(),
        request: Some(start.request),
        isolated: start.isolated,
        charged_to,
        attempt,
        bound_job: None,
        instance_id: None,
        own_runner: None,
        official: None,
        system_id: start.system_id,
        nonce_sha256: start.nonce_sha256,
        claim: None,
        accepted: false,
        job_token: None,
        beat_ms: None,
        caches: NamedCaches::default(),
        lease_until,
        deadline: now + deadline(lane.engine, start.longest),
        end_reason: None,
        // Should the charging function die before its request goes out, the sweep repeats the frozen request.
        due: Due::at(&pk, now + charge_grace(lane.engine)),
        times: LaunchTimes { charged_at: Some(now), ..LaunchTimes::default() },
        expires_at: None,
        launch: start.launch,
        extra: Map::new(),
    }
}

const fn deadline(engine: Engine, longest: Option<Millis>) -> Millis {
    match engine {
        Engine::Lambda => limits::LAMBDA_DEADLINE,
        Engine::Ec2 => limits::ec2_deadline(longest),
    }
}

const fn start_lease(engine: Engine) -> Millis {
    match engine {
        Engine::Lambda => limits::START_LEASE,
        Engine::Ec2 => limits::EC2_CHARGE_LEASE,
    }
}

const fn charge_grace(engine: Engine) -> Millis {
    match engine {
        Engine::Lambda => limits::CHARGE_GRACE,
        Engine::Ec2 => limits::EC2_CHARGE_GRACE,
    }
}

/// AWS took the request that starts the launch. `None` when its runner has already begun, which is as good.
#[must_use]
pub fn started(launch: &LaunchRow, now: Timestamp) -> Option<Plan> {
    if launch.state != LaunchState::Charged {
        return None;
    }
    let mut after = launch.clone();
    after.enter(LaunchState::Starting, now);
    after.lease(launch.lease_until);
    Some(Plan::because("its compute was asked for").with_some(put(Some(launch), after)))
}

/// Holds a waiting job back until `until`: a cap, a name that foreign runners take, a target that cannot be started. The
/// lane that it was routed to, if that is known, stays in its row: a launch of it that becomes free can serve the job.
#[must_use]
pub fn hold(job: &JobRow, lane: Option<LaneId>, until: Timestamp, reason: &str, now: Timestamp) -> Plan {
    let mut after = job.clone();
    after.lane = lane.or(after.lane);
    if job.state != JobState::Waiting {
        after.enter(JobState::Waiting, now, reason);
    }
    reason.clone_into(&mut after.reason);
    after.due_at(until);
    Plan::because(reason).with_some(put(Some(job), after))
}

/// No lane of ours is for this job: it is kept as counted and never launched for.
#[must_use]
pub fn not_ours(job: &JobRow, reason: &str, now: Timestamp) -> Plan {
    let mut after = job.clone();
    after.enter(JobState::NotOurs, now, reason);
    after.retire(now);
    Plan::because(reason).with_some(put(Some(job), after))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::moves::testing::{T0, job_of, lane, launch_of, pending_job, secs, start};

    #[test]
    fn a_waiting_job_gets_one_launch_and_a_second_event_gets_none() {
        let job = pending_job(1);
        let plan = charge(&job, &lane(), start("l-1"), "because", T0).unwrap();
        let (after, launch) = (job_of(&plan), launch_of(&plan));
        assert_eq!((after.attempt, after.charge.clone()), (1, Some(launch.launch.clone())));
        assert_eq!(launch.charged_to, Some(job.key()));
        assert_eq!(launch.lease_until, T0 + limits::START_LEASE);
        assert_eq!(launch.due.next_check_at, Some(T0 + limits::CHARGE_GRACE), "its request may never have gone out");
        let asked = launch_of(&started(&launch, T0).unwrap());
        assert_eq!(asked.due.next_check_at, Some(launch.lease_until));
        let again = charge(&after, &lane(), start("l-2"), "because", T0);
        assert_eq!(again, Err(NotCharged::Charged(LaunchId::new("l-1"))));
    }

    #[test]
    fn an_instance_has_time_to_start_and_its_end_counts_on_the_longest_job() {
        let of = |longest| {
            let lane = Lane { engine: Engine::Ec2, ..lane() };
            let plan = charge(&pending_job(1), &lane, Start { longest, ..start("l-1") }, "", T0).unwrap();
            (job_of(&plan).due.next_check_at.unwrap(), launch_of(&plan))
        };
        let (job_due, launch) = of(None);
        assert_eq!((job_due, launch.lease_until), (T0 + limits::EC2_CHARGE_LEASE, T0 + limits::EC2_CHARGE_LEASE));
        assert_eq!(launch.due.next_check_at, Some(T0 + limits::EC2_CHARGE_GRACE));
        let ends = |longest| of(longest).1.deadline - T0;
        assert_eq!(ends(None), Millis::minutes(5 + 5 + 190 + 10));
        assert_eq!(ends(Some(Millis::minutes(15))), Millis::minutes(5 + 5 + 15 + 10));
        assert_eq!(ends(Some(Millis(i64::MAX))), limits::ec2_deadline(Some(limits::EC2_JOB_MOST)));
    }

    #[test]
    fn a_job_that_has_a_runner_or_ended_is_not_charged() {
        for (status, state) in
            [("running", JobState::Bound), ("success", JobState::Ended), ("running", JobState::Foreign)]
        {
            let job = JobRow { gitlab_status: JobStatus::parse(status), state, ..pending_job(1) };
            assert!(matches!(charge(&job, &lane(), start("l"), "", T0), Err(NotCharged::NotPending(_))), "{status}");
        }
        let bound_early = JobRow { state: JobState::Bound, ..pending_job(1) };
        assert_eq!(may_charge(&bound_early, T0), Err(NotCharged::Taken(JobState::Bound)));
    }

    #[test]
    fn a_repeated_event_does_not_jump_the_back_off() {
        let mut job = JobRow { fruitless: 1, ..pending_job(1) };
        job.due_at(secs(10));
        assert_eq!(may_charge(&job, secs(9)), Err(NotCharged::NotDue(secs(10))));
        assert_eq!(may_charge(&job, secs(10)), Ok(()));
    }

    #[test]
    fn a_job_that_is_held_back_keeps_its_lane_so_that_a_free_launch_can_be_found_for_it() {
        let lane = lane().id();
        let held = job_of(&hold(&pending_job(1), Some(lane.clone()), secs(30), "a cap", T0));
        assert_eq!(
            (held.state, held.due.next_check_at, held.lane.clone()),
            (JobState::Waiting, Some(secs(30)), Some(lane))
        );
        let again = job_of(&hold(&held, None, secs(60), "nobody knows", secs(30)));
        assert_eq!(again.lane, held.lane, "unknown is not none");
    }

    #[test]
    fn a_start_that_is_reported_late_moves_no_launch_back() {
        let plan = charge(&pending_job(1), &lane(), start("l-1"), "", T0).unwrap();
        let mut launch = launch_of(&plan);
        assert_eq!(launch_of(&started(&launch, T0).unwrap()).state, LaunchState::Starting);
        launch.state = LaunchState::Polling;
        assert_eq!(started(&launch, T0), None);
    }
}
