//! Sentinel: without an API token nobody tells us of a job whose hook was lost. A launch that is charged to no job asks
//! GitLab once, now and then, for each lane, and runs whatever it gets.

use crate::change::{Plan, put};
use crate::lane::Lane;
use crate::lane_row::LaneRow;
use crate::launch::LaunchRow;
use crate::limits;
use crate::moves::Start;
use crate::moves::charge::new_launch;
use crate::moves::lane::{look_again, next_look};
use crate::time::{Millis, Timestamp};

/// Whether a lane's next sentinel is due.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Watch {
    /// It is.
    Send,
    /// Not now; this is when to look again.
    Wait(Plan),
}

/// Decides by the lane's row and the row of its last sentinel. One sentinel of a lane is under way at a time; one that got
/// a job may have been one of several whose hooks were lost, and the next is due at once.
pub(super) fn watch(row: &LaneRow, last: Option<&LaunchRow>, every: Millis, now: Timestamp) -> Watch {
    let again = |at, why| Watch::Wait(look_again(row, at, why));
    let last = last.filter(|last| row.sentinel.as_ref() == Some(&last.launch));
    if row.token_trouble.is_some() || row.token_mark.is_none() {
        let verified = row.next_verify_at.unwrap_or(now + limits::VERIFY_RETRY);
        return again(verified, "its token is to be verified first");
    }
    match last {
        Some(last) if last.is_unbound_live() => again(now + limits::SENTINEL_LOOK, "its sentinel is under way"),
        Some(last) if last.bound_job.is_some() => Watch::Send,
        _ => match row.next_sentinel_at {
            Some(at) if at <= now => Watch::Send,
            Some(_) => again(next_look(row, Some(every), now), "its next sentinel is not due"),
            None => {
                let mut after = row.clone();
                after.next_sentinel_at = Some(now + every);
                after.due_at(next_look(&after, Some(every), now));
                Watch::Wait(Plan::because("its first sentinel has a time now").with_some(put(Some(row), after)))
            }
        },
    }
}

/// Sends a sentinel: the lane's row and the launch's in one transaction, so that of two sweeps one sends it.
#[must_use]
pub fn sentinel(row: &LaneRow, lane: &Lane, start: Start, every: Millis, now: Timestamp) -> Plan {
    let mut after = row.clone();
    after.sentinel = Some(start.launch.clone());
    after.next_sentinel_at = Some(now + every);
    after.due_at(now + limits::SENTINEL_LOOK);
    Plan::because("a job may wait whose hook was lost")
        .with_some(put(Some(row), after))
        .with_some(put(None, new_launch(lane, start, None, 0, now)))
}

/// A sentinel is held back by a cap.
#[must_use]
pub fn hold_sentinel(row: &LaneRow, why: &str, now: Timestamp) -> Plan {
    look_again(row, now + limits::SENTINEL_LOOK, why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::LaunchId;
    use crate::lane::Engine;
    use crate::lane_row::TokenTrouble;
    use crate::launch::LaunchState;
    use crate::moves::lane::{Introduction, LaneDuty, LaneView, lane_duty, troubled, verified};
    use crate::moves::testing::{T0, key, lane_row_of, launch_of, mapped_lane, polling, secs, start};

    const EVERY: Millis = Millis::minutes(10);

    fn row() -> LaneRow {
        let lane = mapped_lane().id();
        let said = Introduction { lane: &lane, engine: Engine::Lambda, token: "glrt-a", runner_id: Some(7) };
        lane_row_of(&verified(None, None, said, Some(EVERY), T0))
    }

    fn duty(row: &LaneRow, last: Option<&LaunchRow>, now: Timestamp) -> LaneDuty {
        let view =
            LaneView { mapped: true, in_use: false, draining: false, last_sentinel: last, sentinels: Some(EVERY) };
        lane_duty(Some(row), view, now)
    }

    fn sent(row: &LaneRow, now: Timestamp) -> (LaneRow, LaunchRow) {
        let plan = sentinel(row, &mapped_lane(), start("l-1"), EVERY, now);
        (lane_row_of(&plan), launch_of(&plan))
    }

    #[test]
    fn a_sentinel_is_a_launch_of_the_lane_that_is_charged_to_no_job() {
        let (row, launch) = sent(&row(), secs(600));
        assert_eq!((launch.charged_to, launch.attempt, launch.state), (None, 0, LaunchState::Charged));
        assert_eq!((&launch.lane, row.sentinel), (&mapped_lane().id(), Some(launch.launch.clone())));
        assert_eq!(
            launch.due.next_check_at,
            Some(secs(600) + limits::CHARGE_GRACE),
            "a start that got lost is repeated"
        );
    }

    #[test]
    fn one_is_due_every_ten_minutes_and_one_at_a_time() {
        let row = row();
        assert_eq!(duty(&row, None, secs(599)), LaneDuty::Nothing);
        assert_eq!(duty(&row, None, secs(600)), LaneDuty::Sentinel);
        let (row, launch) = sent(&row, secs(600));
        let LaneDuty::Write(plan) = duty(&row, Some(&launch), secs(660)) else { panic!("it is under way") };
        assert_eq!(lane_row_of(&plan).due.next_check_at, Some(secs(720)));
        let over = LaunchRow { state: LaunchState::Closed, ..launch };
        let LaneDuty::Write(plan) = duty(&row, Some(&over), secs(660)) else { panic!("it found nothing") };
        let row = lane_row_of(&plan);
        assert_eq!(row.due.next_check_at, Some(secs(1200)));
        assert_eq!(duty(&row, Some(&over), secs(1199)), LaneDuty::Nothing);
        assert_eq!(duty(&row, Some(&over), secs(1200)), LaneDuty::Sentinel);
    }

    #[test]
    fn one_that_got_a_job_makes_the_next_due_at_once() {
        let (row, launch) = sent(&row(), secs(600));
        let bound = LaunchRow { state: LaunchState::Bound, bound_job: Some(key(1)), ..polling(&launch) };
        assert_eq!(duty(&row, Some(&bound), secs(660)), LaneDuty::Sentinel);
        let done = LaunchRow { state: LaunchState::Closed, ..bound };
        assert_eq!(duty(&row, Some(&done), secs(660)), LaneDuty::Sentinel, "also when its job is over already");
        let (next, _) = sent(&LaneRow { sentinel: None, ..row }, secs(660));
        let another = LaneRow { sentinel: Some(LaunchId::new("l-2")), ..next };
        assert!(matches!(duty(&another, Some(&done), secs(720)), LaneDuty::Write(_)), "an older one counts once");
    }

    #[test]
    fn a_lane_whose_token_is_of_no_use_or_not_known_sends_none() {
        let lane = mapped_lane().id();
        for trouble in [TokenTrouble::Missing, TokenTrouble::Refused] {
            let (plan, _) = troubled(Some(&row()), &lane, Engine::Lambda, trouble, Some(EVERY), secs(595));
            let bad = LaneRow { next_verify_at: Some(secs(1195)), ..lane_row_of(&plan) };
            assert!(matches!(duty(&bad, None, secs(600)), LaneDuty::Write(_)));
        }
        let unknown = LaneRow { token_mark: None, ..row() };
        assert!(matches!(duty(&unknown, None, secs(600)), LaneDuty::Write(_)));
    }

    #[test]
    fn without_sentinels_the_lane_is_only_verified() {
        let view = LaneView { mapped: true, in_use: false, draining: false, last_sentinel: None, sentinels: None };
        let LaneDuty::Write(plan) = lane_duty(Some(&row()), view, secs(600)) else { panic!("it was due for one") };
        assert_eq!(lane_row_of(&plan).due.next_check_at, Some(T0 + limits::VERIFY_EVERY));
    }

    #[test]
    fn a_cap_puts_it_off_by_a_minute() {
        let row = lane_row_of(&hold_sentinel(&row(), "the stack is full", secs(600)));
        assert_eq!((row.due.next_check_at, row.sentinel.clone()), (Some(secs(660)), None));
        assert_eq!(duty(&row, None, secs(660)), LaneDuty::Sentinel);
    }
}

#[cfg(test)]
mod moves {
    //! A sentinel passes every move that another launch passes.

    use crate::id::LaunchId;
    use crate::job::{JobRow, JobState};
    use crate::launch::{LaunchRow, LaunchState};
    use crate::limits;
    use crate::moves::testing::{
        T0, charged_pair, job_of, job_with_id, key, launch_of, launch_with_id, pending_job, polling, secs, sentinel_row,
    };
    use crate::moves::{
        BindRows, Debt, DueLaunch, End, Evidence, GiveBackRows, Got, Loss, assign, bind, close, conclude, debt,
        due_launch, give_back, is_free, lost, renew, started,
    };
    use crate::sealed::SealedToken;
    use crate::status::JobStatus;

    fn rows<'a>(launch: &'a LaunchRow, got: Option<&'a JobRow>, gots_charge: Option<&'a LaunchRow>) -> BindRows<'a> {
        BindRows { launch, got, gots_charge, charged: None }
    }

    #[test]
    fn it_binds_a_job_that_nobody_told_us_of() {
        let plan = bind(rows(&polling(&sentinel_row("l-s")), None, None), key(7), T0).unwrap();
        let (job, launch) = (job_of(&plan), launch_of(&plan));
        assert_eq!((job.state, job.launch.clone()), (JobState::Bound, Some(LaunchId::new("l-s"))));
        assert_eq!(job.lane.as_ref(), Some(&launch.lane));
        assert_eq!((launch.bound_job, launch.charged_to), (Some(key(7)), None));
        assert_eq!(launch_of(&renew(&launch, secs(60)).unwrap()).lease_until, secs(60) + limits::HEARTBEAT_LEASE);
    }

    #[test]
    fn a_job_that_it_takes_from_its_own_launch_leaves_that_launch_free_and_running() {
        let (job, own) = charged_pair(1, "l-1");
        let plan = bind(rows(&polling(&sentinel_row("l-s")), Some(&job), Some(&own)), key(1), T0).unwrap();
        assert_eq!(plan.changes.len(), 2, "the other launch is nobody's to stop");
        let bound = job_with_id(&plan, 1);
        assert_eq!((bound.charge.clone(), bound.launch.clone()), (None, Some(LaunchId::new("l-s"))));
        assert!(is_free(&own, Some(&bound)));
    }

    #[test]
    fn one_that_finds_nothing_ends_and_counts_for_no_job() {
        let launch = polling(&sentinel_row("l-s"));
        let plan = conclude(&launch, None, &End::Fruitless("GitLab had no job".into()), secs(1)).unwrap();
        assert_eq!(plan.changes.len(), 1);
        assert_eq!((launch_of(&plan).state, launch_of(&plan).due.next_check_at), (LaunchState::Closed, None));
    }

    #[test]
    fn the_sweep_starts_stops_and_loses_it_as_any_other() {
        let launch = sentinel_row("l-s");
        assert_eq!(due_launch(&launch, T0 + limits::CHARGE_GRACE), DueLaunch::NeedsStart);
        let asked = launch_of(&started(&launch, T0).unwrap());
        assert!(matches!(due_launch(&asked, asked.lease_until), DueLaunch::NeedsStop(End::Fruitless(_))));
        assert!(close(&asked, Evidence::RowOnly, "the sweep stops it", asked.lease_until).is_ok());
        let asking = polling(&launch);
        assert!(matches!(due_launch(&asking, asking.lease_until), DueLaunch::NeedsStop(End::Fruitless(_))));
    }

    #[test]
    fn the_job_of_a_lost_one_is_reported() {
        let got = Got { job_token: Some(SealedToken::new("sealed")), ..Got::from(key(1)) };
        let pending = pending_job(1);
        let plan = bind(rows(&polling(&sentinel_row("l-s")), Some(&pending), None), got, T0).unwrap();
        let launch = launch_of(&renew(&launch_with_id(&plan, "l-s"), T0).unwrap());
        let job = JobRow { gitlab_status: JobStatus::Running, ..job_with_id(&plan, 1) };
        let Loss::Lost { report, plan } = lost(&launch, Some(&job), Evidence::RowOnly, launch.lease_until) else {
            panic!("it is silent")
        };
        assert_eq!(report, Some(key(1)));
        let (launch, job) = (launch_with_id(&plan, "l-s"), job_with_id(&plan, 1));
        assert!(matches!(debt(&launch, Some(&job), launch.lease_until), Debt::Report { .. }));
        let done = conclude(&launch, Some(&job), &End::JobDone("done".into()), secs(300)).unwrap();
        assert_eq!(launch_with_id(&done, "l-s").state, LaunchState::Closed);
    }

    #[test]
    fn what_it_may_not_keep_it_gives_back() {
        let launch = polling(&sentinel_row("l-s"));
        let plan = bind(rows(&launch, Some(&pending_job(1)), None), key(1), T0).unwrap();
        let (bound, job) = (launch_with_id(&plan, "l-s"), job_with_id(&plan, 1));
        let back = give_back(GiveBackRows { launch: &bound, got: Some(&job), charged: None }, "too late", secs(40));
        let waits = job_with_id(&back, 1);
        assert_eq!((waits.state, waits.launch.clone(), waits.fruitless), (JobState::Waiting, None, 0));
        assert_eq!(launch_with_id(&back, "l-s").state, LaunchState::Closed);
        let unbound = give_back(GiveBackRows { launch: &launch, got: None, charged: None }, "too late", secs(40));
        assert_eq!(unbound.changes.len(), 1);
    }

    #[test]
    fn it_serves_a_waiting_job_until_it_has_asked() {
        let launch = sentinel_row("l-s");
        let job = JobRow { lane: Some(launch.lane.clone()), ..pending_job(1) };
        let plan = assign(&job, &launch, None, secs(1)).unwrap().expect("it will ask");
        assert_eq!(launch_with_id(&plan, "l-s").charged_to, Some(key(1)));
        let asked = polling(&launch);
        assert!(!is_free(&asked, None), "it asks once, and that may be over");
        assert_eq!(assign(&job, &asked, None, secs(1)), Ok(None));
    }
}
