//! Lives of jobs and launches, told move by move.

#![allow(clippy::unwrap_used, reason = "a test fails where something is not as it should be")]

mod desk;

use desk::{Desk, T0, id, key, secs};
use runnerless_core::job::JobState;
use runnerless_core::launch::LaunchState;
use runnerless_core::limits;
use runnerless_core::moves::{
    BeginRefused, BindRefused, CloseRefused, DueJob, DueLaunch, End, Evidence, Loss, NotCharged, RenewRefused, assign,
    close, due_job, due_launch, lost, may_charge, renew, started,
};
use runnerless_core::status::JobStatus;
use runnerless_core::time::{Millis, Timestamp};

// A is cancelled before pick-up.

/// Job 1 with launch `l-1` under way, cancelled.
fn cancelled_before_pick_up() -> Desk {
    let mut desk = Desk::default();
    desk.hook(1, "pending", T0);
    desk.launched(1, "l-1", secs(1)).unwrap();
    assert_eq!(desk.hook(1, "canceled", secs(2)), None, "nothing is bound, so nothing is to be settled");
    let job = desk.job(1);
    assert_eq!((job.state, &job.charge, &job.launch), (JobState::Ended, &None, &None));
    assert_eq!(job.due.next_check_at, None);
    let launch = desk.launch("l-1");
    assert!(launch.is_unbound_live(), "a cancelled charge is not stopped");
    assert_eq!(due_launch(&launch, secs(60)), DueLaunch::Nothing);
    desk
}

#[test]
fn the_launch_of_a_cancelled_job_is_given_to_one_that_waits() {
    let mut desk = cancelled_before_pick_up();
    let cancelled = desk.job(1);
    // Job 2 was routed to the lane, and its own launch ended.
    desk.hook(2, "pending", secs(3));
    desk.launched(2, "l-2", secs(3)).unwrap();
    desk.fruitless("l-2", secs(20));
    let plan = assign(&desk.job(2), &desk.launch("l-1"), Some(&desk.job(1)), secs(30))
        .unwrap()
        .expect("the launch can serve it");
    desk.apply(&plan);
    assert_eq!((desk.job(2).charge, desk.launch("l-1").charged_to), (id("l-1"), Some(key(2))));
    desk.begin("l-1", secs(31)).unwrap();
    desk.bind("l-1", 2, secs(32)).unwrap();
    assert_eq!((desk.job(2).state, desk.job(2).launch), (JobState::Bound, id("l-1")));
    desk.conclude("l-1", &End::JobDone("done".into()), secs(90));
    assert_eq!(desk.job(1), cancelled, "nothing of all this touches the cancelled job");
}

#[test]
fn the_launch_of_a_cancelled_job_takes_whatever_it_gets() {
    let mut desk = cancelled_before_pick_up();
    let cancelled = desk.job(1);
    desk.hook(2, "pending", secs(3));
    desk.launched(2, "l-2", secs(3)).unwrap();
    desk.begin("l-1", secs(4)).unwrap();
    desk.bind("l-1", 2, secs(5)).unwrap();
    assert_eq!((desk.job(2).state, desk.job(2).launch), (JobState::Bound, id("l-1")));
    assert_eq!(desk.launch("l-2").charged_to, Some(key(2)), "the cancelled job gets no launch in exchange");
    assert!(desk.launch("l-2").is_unbound_live());
    assert_eq!(desk.job(1), cancelled);
}

#[test]
fn the_launch_of_a_cancelled_job_ends_itself_when_nothing_waits() {
    let mut desk = cancelled_before_pick_up();
    let cancelled = desk.job(1);
    desk.begin("l-1", secs(4)).unwrap();
    assert!(desk.fruitless("l-1", secs(24)));
    assert_eq!(desk.launch("l-1").state, LaunchState::Closed);
    assert_eq!(desk.job(1), cancelled);
}

#[test]
fn a_cancelled_job_that_a_runner_got_at_that_moment_is_not_bound() {
    let mut desk = cancelled_before_pick_up();
    let cancelled = desk.job(1);
    desk.begin("l-1", secs(4)).unwrap();
    assert_eq!(desk.bind("l-1", 1, secs(5)), Err(BindRefused::JobEnded));
    desk.give_back("l-1", 1, secs(6));
    assert_eq!(desk.launch("l-1").state, LaunchState::Closed);
    assert_eq!(desk.job(1), cancelled);
}

// A runner that only takes jobs of protected refs, and a job of another ref: GitLab never hands it out.

#[test]
fn a_job_that_the_lanes_runner_may_not_take_is_unserved_and_costs_one_launch_an_hour_until_it_ends() {
    let mut desk = Desk::default();
    desk.hook(1, "pending", T0);
    let mut launched: Vec<Timestamp> = Vec::new();
    let (given_up, dropped_at) = loop {
        let now = desk.job(1).due.next_check_at.expect("a waiting job is always due");
        match due_job(&desk.job(1), None, now) {
            DueJob::NeedsLaunch => {}
            DueJob::Write(plan) => break (plan, now),
            other => panic!("{other:?}"),
        }
        let launch = format!("l-{}", launched.len());
        desk.launched(1, &launch, now).unwrap();
        desk.begin(&launch, now).unwrap();
        desk.fruitless(&launch, now + limits::WAIT);
        launched.push(now);
        let job = desk.job(1);
        let expected = if launched.len() < 3 { JobState::Waiting } else { JobState::Unserved };
        assert_eq!((job.state, job.charge.clone()), (expected, None));
        assert!(job.reason.contains("no job came"), "{}", job.reason);
        let early = job.due.next_check_at.unwrap() - Millis(1);
        assert!(matches!(may_charge(&job, early), Err(NotCharged::NotDue(_))), "no event jumps the pause");
    };
    desk.apply(&given_up);
    assert_eq!((desk.job(1).state, desk.job(1).due.next_check_at), (JobState::Unserved, None));
    assert!(dropped_at - T0 > Millis::days(1), "GitLab drops it after a day");
    let pauses: Vec<Millis> = launched.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(pauses[1] > limits::OFFER_AGAIN, "the third comes after an offer that nobody accepted is over");
    assert!(pauses[2..].iter().all(|pause| *pause >= limits::UNSERVED_RETRY), "{pauses:?}");
    assert!((3 + 23..=3 + 25).contains(&launched.len()), "{} launches in a day", launched.len());
}

#[test]
fn an_unserved_job_is_left_alone_once_it_ends() {
    let mut desk = Desk::default();
    desk.hook(1, "pending", T0);
    for n in 0..3 {
        let (launch, now) = (format!("l-{n}"), desk.job(1).due.next_check_at.unwrap());
        desk.launched(1, &launch, now).unwrap();
        desk.begin(&launch, now).unwrap();
        desk.fruitless(&launch, now + limits::WAIT);
    }
    assert_eq!(desk.job(1).state, JobState::Unserved);
    assert_eq!(desk.hook(1, "pending", secs(400)), None, "a repeated hook announces nothing");
    desk.hook(1, "canceled", secs(500));
    let job = desk.job(1);
    assert_eq!((job.state, job.due.next_check_at), (JobState::Ended, None));
    assert!(matches!(may_charge(&job, T0 + Millis::days(2)), Err(NotCharged::NotPending(_))));
}

#[test]
fn launches_of_an_unserved_job_serve_the_others_of_its_lane() {
    let mut desk = Desk::default();
    for job in [1, 2] {
        desk.hook(job, "pending", T0);
        desk.launched(job, &format!("l-{job}"), T0).unwrap();
    }
    // The launch of job 1, which GitLab never hands out, gets job 2.
    desk.begin("l-1", secs(1)).unwrap();
    desk.bind("l-1", 2, secs(2)).unwrap();
    assert_eq!((desk.job(1).charge, desk.job(1).fruitless), (id("l-2"), 0), "it was not in vain");
    desk.begin("l-2", secs(3)).unwrap();
    desk.fruitless("l-2", secs(23));
    assert_eq!((desk.job(1).state, desk.job(1).fruitless), (JobState::Waiting, 1));
    assert_eq!(desk.job(2).state, JobState::Bound);
}

// An attempt that was superseded comes back.

/// Everything that the late ones of launch `l-1` may still try; it is over, and the job is another launch's.
fn comes_back_in_vain(desk: &mut Desk, now: Timestamp) {
    let before = desk.clone();
    assert_eq!(started(&desk.launch("l-1"), now), None, "its charging function hears from AWS at last");
    assert_eq!(desk.begin("l-1", now), Err(BeginRefused::Gone(LaunchState::Closed)));
    assert_eq!(desk.bind("l-1", 1, now), Err(BindRefused::NotPolling(LaunchState::Closed)));
    assert_eq!(renew(&desk.launch("l-1"), now), Err(RenewRefused::NotBound(LaunchState::Closed)));
    desk.give_back("l-1", 1, now);
    let throttled = End::NeverStarted { reason: "throttled".into(), retry_in: Millis::secs(1) };
    for end in [End::Fruitless("no job came".into()), End::JobDone("done".into()), throttled] {
        assert!(!desk.conclude("l-1", &end, now), "{end:?}");
    }
    let late = desk.launch("l-1");
    assert_eq!(close(&late, Evidence::HostGone, "late", now), Err(CloseRefused::Closed));
    assert!(matches!(lost(&late, Some(&desk.job(1)), Evidence::HostGone, now), Loss::NotLost(_)));
    assert_eq!(due_launch(&late, now + Millis::days(1)), DueLaunch::Nothing);
    assert!(*desk == before, "nothing moved");
}

/// The sweep stops what its row says is overdue.
fn swept_away(desk: &mut Desk, launch: &str, now: Timestamp) -> End {
    let DueLaunch::NeedsStop(end) = due_launch(&desk.launch(launch), now) else { panic!("{launch} is not overdue") };
    let plan = close(&desk.launch(launch), Evidence::RowOnly, end.reason(), now).unwrap();
    desk.apply(&plan);
    assert!(desk.conclude(launch, &end, now));
    end
}

#[test]
fn an_attempt_that_never_went_out_and_comes_back_late_finds_itself_over() {
    let mut desk = Desk::default();
    desk.hook(1, "pending", T0);
    desk.charged(1, "l-1", T0).unwrap();
    let overdue = T0 + limits::START_LEASE;
    let end = swept_away(&mut desk, "l-1", overdue);
    assert!(matches!(end, End::NeverStarted { .. }), "{end:?}");
    let again = desk.job(1).due.next_check_at.unwrap();
    desk.launched(1, "l-2", again).unwrap();
    assert_eq!((desk.job(1).attempt, desk.job(1).fruitless), (2, 0));
    comes_back_in_vain(&mut desk, again + Millis::secs(1));
    desk.begin("l-2", again + Millis::secs(2)).unwrap();
    comes_back_in_vain(&mut desk, again + Millis::secs(3));
    desk.bind("l-2", 1, again + Millis::secs(4)).unwrap();
    comes_back_in_vain(&mut desk, again + Millis::secs(5));
    desk.hook(1, "running", again + Millis::secs(6));
    comes_back_in_vain(&mut desk, again + Millis::secs(7));
    assert_eq!((desk.job(1).state, desk.job(1).launch), (JobState::Bound, id("l-2")));
}

#[test]
fn an_attempt_that_is_being_stopped_may_not_begin() {
    let mut desk = Desk::default();
    desk.hook(1, "pending", T0);
    desk.launched(1, "l-1", T0).unwrap();
    let plan = close(&desk.launch("l-1"), Evidence::RowOnly, "overdue", T0 + limits::START_LEASE).unwrap();
    desk.apply(&plan);
    let now = T0 + limits::START_LEASE + Millis(1);
    assert_eq!(desk.begin("l-1", now), Err(BeginRefused::Gone(LaunchState::Closing)));
    assert_eq!(desk.bind("l-1", 1, now), Err(BindRefused::NotPolling(LaunchState::Closing)));
    assert_eq!(started(&desk.launch("l-1"), now), None);
}

#[test]
fn a_binding_that_was_superseded_by_a_newer_201_frees_and_reports_nobody() {
    let mut desk = Desk::default();
    desk.hook(1, "pending", T0);
    desk.launched(1, "l-1", T0).unwrap();
    desk.begin("l-1", secs(1)).unwrap();
    desk.bind("l-1", 1, secs(2)).unwrap();
    // Its runner is held up and never accepts; GitLab offers the job again, to the launch of another job.
    desk.hook(2, "pending", secs(100));
    desk.launched(2, "l-2", secs(100)).unwrap();
    desk.begin("l-2", secs(120)).unwrap();
    desk.bind("l-2", 1, secs(125)).unwrap();
    let served = desk.job(1);
    assert_eq!(served.launch, id("l-2"));
    for way in 0..3 {
        let mut desk = desk.clone();
        match way {
            0 => desk.give_back("l-1", 1, secs(130)),
            1 => assert!(desk.fruitless("l-1", secs(130))),
            _ => {
                let Loss::Lost { report, plan } =
                    lost(&desk.launch("l-1"), Some(&desk.job(1)), Evidence::RowOnly, secs(300))
                else {
                    panic!("a silent launch is lost")
                };
                assert_eq!(report, None, "another launch has the job");
                desk.apply(&plan);
            }
        }
        assert_eq!(desk.launch("l-1").state, LaunchState::Closed);
        assert_eq!(desk.job(1), served, "way {way}");
    }
}

// A refused bind.

#[test]
fn a_job_whose_bind_was_refused_is_given_back_and_served_by_the_next_launch() {
    let mut desk = Desk::default();
    desk.hook(1, "pending", T0);
    desk.launched(1, "l-1", T0).unwrap();
    desk.begin("l-1", secs(1)).unwrap();
    // AWS said that the function is gone, and was wrong.
    let plan = close(&desk.launch("l-1"), Evidence::HostGone, "the function failed", secs(2)).unwrap();
    desk.apply(&plan);
    assert_eq!(desk.bind("l-1", 1, secs(3)), Err(BindRefused::NotPolling(LaunchState::Closing)));
    desk.give_back("l-1", 1, secs(4));
    let job = desk.job(1);
    assert_eq!((job.state, job.charge.clone(), job.fruitless), (JobState::Waiting, None, 1));
    assert!(!desk.fruitless("l-1", secs(5)), "who closed it finds it over");
    assert_eq!(desk.job(1), job);
    let again = job.due.next_check_at.unwrap();
    desk.launched(1, "l-2", again).unwrap();
    served(&mut desk, "l-2", 1, again);
}

#[test]
fn a_job_that_another_jobs_launch_could_not_bind_keeps_its_own() {
    let mut desk = Desk::default();
    for job in [1, 2] {
        desk.hook(job, "pending", T0);
        desk.launched(job, &format!("l-{job}"), T0).unwrap();
    }
    desk.begin("l-1", secs(1)).unwrap();
    let kept = desk.job(2);
    desk.give_back("l-1", 2, secs(40));
    assert_eq!(desk.job(2), kept, "its own launch is still under way");
    assert_eq!((desk.job(1).state, desk.job(1).charge), (JobState::Waiting, None));
    served(&mut desk, "l-2", 2, secs(41));
}

#[test]
fn a_job_whose_launch_got_one_that_was_cancelled_then_loses_no_attempt_and_no_time() {
    let mut desk = Desk::default();
    for job in [1, 2] {
        desk.hook(job, "pending", T0);
        desk.launched(job, &format!("l-{job}"), T0).unwrap();
    }
    desk.begin("l-1", secs(1)).unwrap();
    desk.hook(2, "canceled", secs(3));
    assert_eq!(desk.bind("l-1", 2, secs(4)), Err(BindRefused::JobEnded));
    let cancelled = desk.job(2);
    desk.give_back("l-1", 2, secs(5));
    assert_eq!(desk.job(2), cancelled);
    let job = desk.job(1);
    assert_eq!((job.state, job.charge.clone(), job.fruitless), (JobState::Waiting, None, 0));
    assert_eq!(job.due.next_check_at, Some(secs(5)), "the next sweep finds it a launch");
    desk.launched(1, "l-3", secs(5)).unwrap();
    served(&mut desk, "l-3", 1, secs(6));
}

/// The launch gets the job and does it; nothing is left to do afterwards.
fn served(desk: &mut Desk, launch: &str, job: u64, now: Timestamp) {
    desk.begin(launch, now).unwrap();
    desk.bind(launch, job, now + Millis::secs(1)).unwrap();
    desk.hook(job, "running", now + Millis::secs(2));
    desk.hook(job, "success", now + Millis::secs(30));
    assert!(desk.conclude(launch, &End::JobDone("done".into()), now + Millis::secs(31)));
    desk.settle(job, now + Millis::secs(32));
    let row = desk.job(job);
    assert_eq!((row.state, row.launch, row.due.next_check_at), (JobState::Ended, id(launch), None));
    assert_eq!(row.gitlab_status, JobStatus::Ended("success"));
    assert_eq!(desk.launch(launch).state, LaunchState::Closed);
}
