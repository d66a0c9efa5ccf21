//! The stand-in: what EC2 does and the emulator does not.

#![allow(clippy::unwrap_used, reason = "a test fails where something is not as it should be")]

use std::collections::BTreeMap;

use runnerless_aws_ec2::fake::{Operation, Scripted, Trouble};
use runnerless_aws_ec2::{FakeFleet, Fleet as _, Terminated};
use runnerless_core::fleet::{
    FaultKind, FleetAnswer, FleetOutcome, FleetRequest, InstanceState, LAUNCH_TAG, Market, Pool, REQUEST_VERSION,
};
use runnerless_core::id::LaunchId;
use runnerless_core::time::Timestamp;

fn fleet() -> FakeFleet {
    let fleet = FakeFleet::default();
    fleet.deploy("lt-1", "arn:profile");
    fleet
}

fn request(token: &str) -> FleetRequest {
    let pool = |subnet: &str| Pool { instance_type: "c7i.large".into(), subnet: subnet.into() };
    FleetRequest {
        v: REQUEST_VERSION,
        market: Market::Spot,
        launch_template: "lt-1:3".into(),
        pools: vec![pool("subnet-a"), pool("subnet-b")],
        disk_gb: None,
        tags: BTreeMap::from([(LAUNCH_TAG.to_owned(), "l-1".to_owned())]),
        token: token.into(),
    }
}

async fn answer(fleet: &FakeFleet, request: &FleetRequest) -> FleetAnswer {
    match fleet.launch(request).await.unwrap() {
        FleetOutcome::Answer(answer) => answer,
        FleetOutcome::Mismatch => panic!("a mismatch"),
    }
}

fn codes(answer: &FleetAnswer) -> Vec<&str> {
    answer.faults.iter().map(|fault| fault.code.as_str()).collect()
}

#[tokio::test]
async fn a_token_gives_one_instance_and_serves_one_request() {
    let fleet = fleet();
    fleet.set(Timestamp(7));
    fleet.script(Scripted::LostAnswer);
    assert_eq!(fleet.launch(&request("t")).await.unwrap_err().name(), "Fleet.Unavailable");
    let again = answer(&fleet, &request("t")).await;
    assert_eq!(again, answer(&fleet, &request("t")).await);
    assert_eq!(fleet.alive(), again.instances, "three calls, one instance");
    let shown = fleet.describe(&again.instances[0]).await.unwrap().unwrap();
    assert_eq!((shown.spot, shown.launched_at, shown.profile.as_deref()), (true, Timestamp(7), Some("arn:profile")));
    let other = FleetRequest { disk_gb: Some(20), ..request("t") };
    assert_eq!(fleet.launch(&other).await.unwrap(), FleetOutcome::Mismatch);
}

#[tokio::test]
async fn what_is_refused_leaves_its_token_free_and_what_is_answered_does_not() {
    let fleet = fleet();
    for (scripted, code, kind) in [
        (Scripted::Refused("RequestLimitExceeded"), "RequestLimitExceeded", FaultKind::Throttled),
        (Scripted::Refused("VcpuLimitExceeded"), "VcpuLimitExceeded", FaultKind::Quota),
    ] {
        fleet.script(scripted);
        let answer = answer(&fleet, &request("t")).await;
        assert_eq!((codes(&answer), answer.faults[0].kind, answer.instances.len()), (vec![code], kind, 0));
    }
    fleet.script(Scripted::NoAnswer);
    assert!(fleet.launch(&request("t")).await.is_err() && fleet.alive().is_empty());
    fleet.script(Scripted::Answer { instances: 0, codes: vec!["InsufficientInstanceCapacity"] });
    assert_eq!(answer(&fleet, &request("t")).await.faults[0].kind, FaultKind::Capacity);
    assert!(answer(&fleet, &request("t")).await.instances.is_empty(), "the token stands for what it came to");
    fleet.script(Scripted::Answer { instances: 2, codes: vec!["UnfulfillableCapacity"] });
    let both = answer(&fleet, &request("u")).await;
    assert_eq!((both.instances.len(), codes(&both)), (2, vec!["UnfulfillableCapacity"]));
}

#[tokio::test]
async fn a_market_runs_dry_for_each_of_its_pools() {
    let fleet = fleet();
    fleet.dry(Market::Spot, Some("InsufficientInstanceCapacity"));
    assert_eq!(codes(&answer(&fleet, &request("t")).await), ["InsufficientInstanceCapacity"; 2]);
    let on_demand = FleetRequest { market: Market::OnDemand, ..request("u") };
    assert_eq!(answer(&fleet, &on_demand).await.instances.len(), 1);
    fleet.dry(Market::Spot, None);
    assert_eq!(answer(&fleet, &request("v")).await.instances.len(), 1);
}

#[tokio::test]
async fn a_request_that_cannot_be_is_refused() {
    let fleet = fleet();
    let long = "t".repeat(65);
    let tag = |name: &str| BTreeMap::from([(name.to_owned(), String::new())]);
    for (wrong, code) in [
        (request(""), "InvalidParameterValue"),
        (request(&long), "InvalidParameterValue"),
        (FleetRequest { launch_template: "lt-2".into(), ..request("t") }, "InvalidLaunchTemplateId.NotFound"),
        (FleetRequest { pools: vec![], ..request("t") }, "InvalidParameterValue"),
        (FleetRequest { pools: vec![request("t").pools[0].clone(); 2], ..request("t") }, "InvalidFleetConfig"),
        (FleetRequest { disk_gb: Some(0), ..request("t") }, "InvalidParameterValue"),
        (FleetRequest { tags: tag("aws:x"), ..request("t") }, "InvalidParameterValue"),
        (FleetRequest { tags: tag(""), ..request("t") }, "InvalidParameterValue"),
    ] {
        let answer = answer(&fleet, &wrong).await;
        assert_eq!((codes(&answer), answer.faults[0].kind), (vec![code], FaultKind::Configuration), "{wrong:?}");
    }
    assert!(fleet.instances().is_empty());
}

#[tokio::test]
async fn what_was_launched_is_shown_late() {
    let fleet = fleet();
    let old = answer(&fleet, &request("t")).await.instances;
    fleet.lag(2);
    let new = answer(&fleet, &request("u")).await.instances;
    assert_eq!(fleet.describe(&new[0]).await.unwrap(), None);
    let shown = fleet.of_launch(&LaunchId::new("l-1")).await.unwrap();
    assert_eq!(shown.iter().map(|one| &one.id).collect::<Vec<_>>(), old.iter().collect::<Vec<_>>());
    assert!(fleet.describe(&new[0]).await.unwrap().is_some());
}

#[tokio::test]
async fn an_instance_ends_in_steps_and_its_metadata_service_while_it_lives() {
    let fleet = fleet();
    let id = answer(&fleet, &request("t")).await.instances.remove(0);
    fleet.hide_metadata(&id).await.unwrap();
    assert!(fleet.is_hidden(&id));
    fleet.trouble(Operation::TerminateInstances, Trouble::Throttled);
    fleet.trouble(Operation::TerminateInstances, Trouble::NoAnswer);
    fleet.trouble(Operation::TerminateInstances, Trouble::Refused);
    for name in ["Fleet.Throttled", "Fleet.Unavailable", "Fleet.Refused"] {
        assert_eq!(fleet.terminate(&id).await.unwrap_err().name(), name);
    }
    assert_eq!(fleet.alive(), std::slice::from_ref(&id));
    fleet.trouble(Operation::TerminateInstances, Trouble::LostAnswer);
    assert!(fleet.terminate(&id).await.is_err() && fleet.alive().is_empty());
    assert_eq!(fleet.describe(&id).await.unwrap().unwrap().state, InstanceState::ShuttingDown);
    assert!(fleet.hide_metadata(&id).await.is_err());
    fleet.enter(&id, InstanceState::Terminated);
    assert_eq!(fleet.terminate(&id).await.unwrap(), Terminated::Asked);
    fleet.forget(&id);
    assert_eq!(fleet.terminate(&id).await.unwrap(), Terminated::Gone);
    assert_eq!(fleet.terminate("i-1").await.unwrap_err().name(), "Fleet.Refused");
}
