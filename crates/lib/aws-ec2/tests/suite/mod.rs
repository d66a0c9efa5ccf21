//! What every fleet does.
//!
//! The emulator knows no tokens, no markets and no metadata options, shows what it did at once, and ends instances at once:
//! what follows from the opposite is shown of the stand-in alone (`fake.rs`), and of the adapter with answers that the
//! emulator never gives (`answers.rs`).

#![allow(unreachable_pub, reason = "a module of a test")]

pub mod emulator;

use std::collections::BTreeMap;

use runnerless_aws_ec2::{Fleet, Terminated};
use runnerless_core::fleet::{
    FaultKind, FleetOutcome, FleetRequest, Instance, LAUNCH_TAG, Market, Pool, REQUEST_VERSION, STACK_TAG,
};
use runnerless_core::id::LaunchId;

/// What is there.
pub struct Where {
    pub template: String,
    pub subnets: [String; 2],
}

/// A request as the router freezes it.
pub fn request(given: &Where, launch: &str) -> FleetRequest {
    let pool = |subnet: &String| Pool { instance_type: "c7i.large".to_owned(), subnet: subnet.clone() };
    FleetRequest {
        v: REQUEST_VERSION,
        market: Market::OnDemand,
        launch_template: given.template.clone(),
        pools: given.subnets.iter().map(pool).collect(),
        disk_gb: None,
        tags: tags(&[(STACK_TAG, "ours"), (LAUNCH_TAG, launch)]),
        token: format!("token-of-{launch}"),
    }
}

fn tags(tags: &[(&str, &str)]) -> BTreeMap<String, String> {
    tags.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// The one instance that a request gave.
pub async fn launched(fleet: &impl Fleet, request: &FleetRequest) -> String {
    match fleet.launch(request).await.unwrap() {
        FleetOutcome::Answer(answer) if answer.faults.is_empty() && answer.instances.len() == 1 => {
            answer.instances[0].clone()
        }
        other => panic!("no instance: {other:?}"),
    }
}

async fn ids(instances: Vec<Instance>) -> Vec<String> {
    let mut ids: Vec<String> = instances.into_iter().map(|instance| instance.id).collect();
    ids.sort();
    ids
}

/// Runs the suite.
pub async fn all(fleet: &impl Fleet, given: &Where) {
    an_instance_is_found_by_its_tags_and_ended_once(fleet, given).await;
    what_is_not_there_is_gone_and_what_cannot_be_is_refused(fleet, given).await;
}

async fn an_instance_is_found_by_its_tags_and_ended_once(fleet: &impl Fleet, given: &Where) {
    let mine = launched(fleet, &request(given, "l-1")).await;
    let sized = FleetRequest { disk_gb: Some(50), market: Market::Spot, ..request(given, "l-2") };
    let second = launched(fleet, &sized).await;
    let others = FleetRequest { tags: tags(&[(STACK_TAG, "another's"), (LAUNCH_TAG, "l-3")]), ..request(given, "l-3") };
    let foreign = launched(fleet, &others).await;

    let shown = fleet.describe(&mine).await.unwrap().unwrap();
    assert_eq!((&shown.id, &shown.tags), (&mine, &request(given, "l-1").tags));
    assert!(shown.state.is_there() && given.subnets.contains(&shown.subnet), "{shown:?}");
    assert_eq!(shown.instance_type, "c7i.large");
    assert!(shown.profile.is_some_and(|arn| arn.ends_with(":instance-profile/runner")));

    assert_eq!(ids(fleet.of_launch(&LaunchId::new("l-1")).await.unwrap()).await, std::slice::from_ref(&mine));
    assert_eq!(fleet.of_launch(&LaunchId::new("l-")).await.unwrap(), [], "no part of a tag's value is a match");
    let mut both = vec![mine.clone(), second.clone()];
    both.sort();
    assert_eq!(ids(fleet.list("ours").await.unwrap()).await, both);

    assert_eq!(fleet.terminate(&mine).await.unwrap(), Terminated::Asked);
    assert_eq!(fleet.terminate(&mine).await.unwrap(), Terminated::Asked, "again");
    let left: Vec<Instance> = fleet.list("ours").await.unwrap();
    assert_eq!(ids(left.into_iter().filter(|one| one.state.is_there()).collect()).await, [second]);
    let ended = fleet.of_launch(&LaunchId::new("l-1")).await.unwrap();
    assert!(ended.len() == 1 && !ended[0].state.is_there(), "an instance that is over is shown by its launch");
    assert!(fleet.describe(&foreign).await.unwrap().unwrap().state.is_there(), "another's is as it was");
}

async fn what_is_not_there_is_gone_and_what_cannot_be_is_refused(fleet: &impl Fleet, given: &Where) {
    let nobody = "i-0fffffffffffffff0";
    assert_eq!(fleet.describe(nobody).await.unwrap(), None);
    assert_eq!(fleet.terminate(nobody).await.unwrap(), Terminated::Gone);
    assert_eq!(fleet.describe("i-job").await.unwrap_err().name(), "Fleet.Refused");
    assert!(fleet.hide_metadata(nobody).await.is_err());

    let elsewhere = FleetRequest { launch_template: "lt-0fffffffffffffff0".to_owned(), ..request(given, "l-4") };
    let FleetOutcome::Answer(answer) = fleet.launch(&elsewhere).await.unwrap() else { panic!("a mismatch") };
    assert!(answer.instances.is_empty());
    let [fault] = &answer.faults[..] else { panic!("{answer:?}") };
    assert!(fault.kind == FaultKind::Configuration && fault.code.starts_with("InvalidLaunchTemplateId"), "{fault:?}");
    assert_eq!(fleet.of_launch(&LaunchId::new("l-4")).await.unwrap(), []);
}
