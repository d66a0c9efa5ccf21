use std::collections::BTreeMap;

use super::*;
use crate::fleet::InstanceState;
use crate::job::JobState;
use crate::moves::testing::{T0, ec2_pair, event_of, job_of, key, launch_of, pending_job, secs};
use crate::moves::{Evidence, cleared, close, conclude, record};

fn sent(launch: &LaunchRow) -> FleetRequest {
    match provision(launch, None, T0) {
        Provision::Send(request) => *request,
        other => panic!("{other:?}"),
    }
}

fn instances(ids: &[&str]) -> FleetAnswer {
    FleetAnswer { instances: ids.iter().map(|id| (*id).to_owned()).collect(), faults: Vec::new() }
}

fn faults(codes: &[&str]) -> FleetAnswer {
    FleetAnswer { instances: Vec::new(), faults: codes.iter().map(|code| FleetFault::new(*code, "words")).collect() }
}

fn cancelled(job: &JobRow) -> JobRow {
    job_of(&record(Some(job), &event_of(1, "canceled"), secs(2)).plan)
}

#[test]
fn an_instance_is_recorded_before_anything_else_and_its_boot_is_waited_for() {
    let (job, launch) = ec2_pair();
    let Answered::Has { plan, instance, surplus } =
        answered(&launch, Some(&job), &sent(&launch), &instances(&["i-1"]), secs(3))
    else {
        panic!("not recorded")
    };
    let after = launch_of(&plan);
    assert_eq!((instance.as_str(), surplus.len()), ("i-1", 0));
    assert_eq!((after.state, after.instance_id.as_deref()), (LaunchState::Starting, Some("i-1")));
    assert_eq!(
        (after.lease_until, after.due.next_check_at),
        (secs(3) + limits::EC2_BOOT, Some(secs(3) + limits::EC2_BOOT))
    );
    assert!(matches!(provision(&after, None, secs(4)), Provision::Nothing(_)), "and nothing is sent twice");
}

#[test]
fn instances_count_more_than_the_faults_beside_them_and_one_is_enough() {
    let (job, launch) = ec2_pair();
    let answer = FleetAnswer { faults: faults(&["InsufficientInstanceCapacity"]).faults, ..instances(&["i-1", "i-2"]) };
    let Answered::Has { instance, surplus, .. } = answered(&launch, Some(&job), &sent(&launch), &answer, secs(3))
    else {
        panic!("not recorded")
    };
    assert_eq!((instance.as_str(), surplus), ("i-1", vec!["i-2".to_owned()]));
}

#[test]
fn a_second_answer_changes_nothing_and_what_is_not_recorded_is_surplus_whatever_the_launch_does() {
    let (job, launch) = ec2_pair();
    let request = sent(&launch);
    let started = LaunchRow { instance_id: Some("i-1".into()), state: LaunchState::Starting, ..launch };
    for state in [LaunchState::Starting, LaunchState::Polling, LaunchState::Bound, LaunchState::Closed] {
        let row = LaunchRow { state, ..started.clone() };
        for (ids, expected) in [(&["i-1"][..], vec![]), (&["i-9"][..], vec!["i-9".to_owned()])] {
            let Answered::Has { plan, instance, surplus } =
                answered(&row, Some(&job), &request, &instances(ids), secs(3))
            else {
                panic!("{state:?}")
            };
            assert_eq!((plan.changes.len(), instance.as_str(), surplus), (0, "i-1", expected), "{state:?}");
        }
    }
}

#[test]
fn an_empty_spot_market_leads_to_on_demand_and_an_empty_one_there_to_back_pressure() {
    let (job, launch) = ec2_pair();
    for code in ["InsufficientInstanceCapacity", "MaxSpotInstanceCountExceeded"] {
        let answer = faults(&["UnsupportedOperation", code]);
        let Answered::NextMarket(plan) = answered(&launch, Some(&job), &sent(&launch), &answer, secs(3)) else {
            panic!("{code} did not move on")
        };
        let after = launch_of(&plan);
        let next = sent(&after);
        assert_eq!((after.state, next.market), (LaunchState::Charged, Market::OnDemand));
        let Answered::Over { plan, until, kind } = answered(&after, Some(&job), &next, &answer, secs(5)) else {
            panic!("not over")
        };
        assert_eq!(plan.reason, format!("EC2 started no instance: UnsupportedOperation (words); {code} (words)"));
        assert_ne!(kind, FaultKind::Configuration, "one pool may serve later");
        let freed = job_of(&plan);
        assert_eq!(launch_of(&plan).state, LaunchState::Closed);
        assert_eq!((freed.state, freed.fruitless), (JobState::Waiting, 0), "it burns no attempt");
        assert_eq!((freed.due.next_check_at, until), (Some(until), secs(5) + limits::EC2_FULL_RETRY));
    }
}

#[test]
fn what_says_nothing_about_spot_does_not_move_to_on_demand() {
    let (job, launch) = ec2_pair();
    for (code, expected, wait) in [
        ("RequestLimitExceeded", FaultKind::Throttled, limits::EC2_THROTTLED_RETRY),
        ("VcpuLimitExceeded", FaultKind::Quota, limits::EC2_FULL_RETRY),
        ("UnauthorizedOperation", FaultKind::Configuration, limits::TROUBLE_RETRY),
        ("SomethingNew", FaultKind::Other, limits::TROUBLE_RETRY),
    ] {
        let Answered::Over { until, kind, .. } =
            answered(&launch, Some(&job), &sent(&launch), &faults(&[code]), secs(3))
        else {
            panic!("{code}")
        };
        assert_eq!((kind, until), (expected, secs(3) + wait), "{code}");
    }
    let silent = answered(&launch, Some(&job), &sent(&launch), &FleetAnswer::default(), secs(3));
    assert!(matches!(silent, Answered::Over { kind: FaultKind::Other, .. }), "no instance and no word is no success");
}

#[test]
fn faults_of_a_request_that_is_not_the_launchs_any_more_end_nothing() {
    let (job, launch) = ec2_pair();
    let first = sent(&launch);
    let Answered::NextMarket(plan) =
        answered(&launch, Some(&job), &first, &faults(&["UnfulfillableCapacity"]), secs(3))
    else {
        panic!("did not move on")
    };
    let moved = launch_of(&plan);
    let late = answered(&moved, Some(&job), &first, &faults(&["VcpuLimitExceeded"]), secs(4));
    assert!(matches!(late, Answered::Wait(_)), "{late:?}");
    let started = LaunchRow { state: LaunchState::Starting, instance_id: Some("i-1".into()), ..launch };
    let late = answered(&started, Some(&job), &first, &faults(&["VcpuLimitExceeded"]), secs(4));
    assert!(matches!(late, Answered::Wait(_)), "{late:?}");
}

#[test]
fn a_launch_whose_job_ended_meanwhile_is_closed_with_its_instance_recorded_then_ended() {
    let (job, launch) = ec2_pair();
    let request = sent(&launch);
    let ended = cancelled(&job);
    let Answered::Unneeded { withdrawal: Some(back), instances } =
        answered(&launch, Some(&ended), &request, &instances(&["i-1", "i-2"]), secs(3))
    else {
        panic!("not withdrawn")
    };
    let closing = launch_of(&back.plan);
    assert_eq!((closing.state, closing.instance_id.as_deref()), (LaunchState::Closing, Some("i-1")));
    assert_eq!(closing.due.next_check_at, Some(secs(3) + limits::SETTLE_CHECK), "the sweep finishes it");
    assert_eq!(instances, ["i-1", "i-2"]);
    let over = launch_of(&conclude(&closing, Some(&ended), &back.end, secs(4)).unwrap());
    let after = launch_of(&cleared(&over, "both are terminated", secs(4)).unwrap());
    assert_eq!(after.state, LaunchState::Closed);
    // Its provisioner died before the conclusion: the next one goes on.
    let Provision::Withdraw(again) = provision(&closing, None, secs(5)) else { panic!("left") };
    assert!(again.plan.changes.is_empty());
    assert_eq!(provision(&after, None, secs(5)), Provision::Nothing("the launch is Closed".into()));
}

#[test]
fn a_launch_that_was_given_to_another_job_is_kept() {
    let (job, launch) = ec2_pair();
    let request = sent(&launch);
    let other = JobRow { charge: Some(launch.launch.clone()), state: JobState::Charged, ..pending_job(2) };
    let given = LaunchRow { charged_to: Some(key(2)), ..launch.clone() };
    assert!(matches!(answered(&given, Some(&other), &request, &instances(&["i-1"]), secs(3)), Answered::Has { .. }));
    assert!(matches!(answered(&given, Some(&job), &request, &instances(&["i-1"]), secs(3)), Answered::Unneeded { .. }));
}

#[test]
fn a_launch_that_the_sweep_closed_meanwhile_takes_its_instance_with_it() {
    let (job, launch) = ec2_pair();
    let request = sent(&launch);
    let closing =
        launch_of(&close(&launch, Evidence::RowOnly, "its request did not go out in time", secs(300)).unwrap());
    let Answered::Unneeded { withdrawal: Some(back), instances: ended } =
        answered(&closing, Some(&job), &request, &instances(&["i-1"]), secs(301))
    else {
        panic!("kept")
    };
    assert_eq!((launch_of(&back.plan).instance_id.as_deref(), ended), (Some("i-1"), vec!["i-1".to_owned()]));
    let closed = launch_of(&conclude(&closing, Some(&job), &back.end, secs(302)).unwrap());
    let late = answered(&closed, Some(&job), &request, &instances(&["i-1"]), secs(303));
    assert_eq!(late, Answered::Unneeded { withdrawal: None, instances: vec!["i-1".into()] });
}

#[test]
fn a_launch_that_began_is_never_taken_back_here() {
    let (job, launch) = ec2_pair();
    let mut begun = LaunchRow { instance_id: Some("i-1".into()), ..launch };
    begun.enter(LaunchState::Starting, secs(1));
    for state in [LaunchState::Starting, LaunchState::Polling, LaunchState::Bound, LaunchState::Closing] {
        let row = LaunchRow { state, ..begun.clone() };
        let asked = provision(&row, Some(Some(&cancelled(&job))), secs(9));
        assert!(matches!(asked, Provision::Nothing(_)), "{state:?}: {asked:?}");
    }
}

#[test]
fn a_repeated_try_looks_at_the_job_first_and_a_late_one_sends_nothing() {
    let (job, launch) = ec2_pair();
    assert!(!asks_for_owner(&launch, secs(9)));
    assert!(asks_for_owner(&launch, secs(10)));
    assert!(matches!(provision(&launch, Some(Some(&job)), secs(10)), Provision::Send(_)));
    assert!(matches!(provision(&launch, Some(Some(&cancelled(&job))), secs(10)), Provision::Withdraw(_)));
    assert!(matches!(provision(&launch, Some(None), secs(10)), Provision::Withdraw(_)), "its job's row is gone");
    assert!(matches!(provision(&launch, None, launch.lease_until), Provision::Nothing(_)));
    let of_lambda = LaunchRow { engine: Engine::Lambda, ..launch.clone() };
    assert!(matches!(provision(&of_lambda, None, T0), Provision::Nothing(_)));
    let unreadable = LaunchRow { request: Some("{}".into()), ..launch };
    assert!(matches!(provision(&unreadable, None, T0), Provision::Nothing(_)));
}

#[test]
fn a_known_token_is_resolved_by_the_launchs_tag() {
    let (job, launch) = ec2_pair();
    let request = sent(&launch);
    let instance = |id: &str, state| Instance {
        id: id.into(),
        state,
        tags: BTreeMap::new(),
        launched_at: T0,
        instance_type: "m7i.large".into(),
        subnet: "subnet-a".into(),
        spot: true,
        profile: None,
    };
    let look = |found: &[Instance], now| looked_up(&launch, Some(&job), &request, found, now);
    let found = [instance("i-0", InstanceState::Terminated), instance("i-1", InstanceState::Pending)];
    assert!(matches!(look(&found, secs(3)), Answered::Has { instance, .. } if instance == "i-1"));
    assert!(matches!(look(&[], secs(59)), Answered::Wait(_)), "it may not be shown yet");
    for found in [&[][..], &found[..1]] {
        assert!(matches!(look(found, secs(60)), Answered::Over { .. }));
    }
    let closed = LaunchRow { state: LaunchState::Closed, ..launch.clone() };
    assert!(matches!(looked_up(&closed, Some(&job), &request, &[], secs(99)), Answered::Wait(_)));
}
