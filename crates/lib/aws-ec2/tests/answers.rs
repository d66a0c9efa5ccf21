//! Answers that the emulator never gives: faults beside instances, refusals, pages, and what is not whole.

#![allow(clippy::unwrap_used, reason = "a test fails where something is not as it should be")]

mod scripted;

use std::collections::BTreeMap;

use runnerless_aws_ec2::{Ec2Fleet, Fleet as _};
use runnerless_core::fleet::{
    FaultKind, FleetAnswer, FleetFault, FleetOutcome, FleetRequest, InstanceState, Market, Pool, REQUEST_VERSION,
};
use runnerless_core::id::LaunchId;
use runnerless_core::time::Timestamp;
use scripted::{Scripted, credentials};

/// EC2 with scripted answers.
struct Service {
    fleet: Ec2Fleet,
    scripted: Scripted,
}

impl Service {
    fn answering(answers: impl IntoIterator<Item = (u16, String)>) -> Self {
        let scripted = Scripted::answering(answers);
        Self { fleet: Ec2Fleet::new(&scripted.place, &credentials()), scripted }
    }

    fn bodies(&self) -> Vec<String> {
        self.scripted.bodies()
    }
}

fn refusal(status: u16, code: &str) -> (u16, String) {
    let error = format!("<Error><Code>{code}</Code><Message>no</Message></Error>");
    (status, format!("<Response><Errors>{error}</Errors><RequestID>r</RequestID></Response>"))
}

fn request() -> FleetRequest {
    FleetRequest {
        v: REQUEST_VERSION,
        market: Market::Spot,
        launch_template: "lt-1:3".into(),
        pools: vec![Pool { instance_type: "c7i.large".into(), subnet: "subnet-a".into() }],
        disk_gb: Some(40),
        tags: BTreeMap::from([("runnerless:launch".to_owned(), "l-1".to_owned())]),
        token: "t".into(),
    }
}

const BESIDE: &str = "<CreateFleetResponse><fleetId>fleet-1</fleetId>
    <errorSet><item><errorCode>InsufficientInstanceCapacity</errorCode><errorMessage>none left</errorMessage></item></errorSet>
    <fleetInstanceSet><item><instanceIds><item>i-1</item><item>i-2</item></instanceIds></item></fleetInstanceSet>
    </CreateFleetResponse>";

#[tokio::test]
async fn the_frozen_request_is_sent_whole_and_faults_stand_beside_instances() {
    let service = Service::answering([(200, BESIDE.to_owned())]);
    let answer = FleetAnswer {
        instances: vec!["i-1".into(), "i-2".into()],
        faults: vec![FleetFault::new("InsufficientInstanceCapacity", "none left")],
    };
    assert_eq!(service.fleet.launch(&request()).await.unwrap(), FleetOutcome::Answer(answer));
    let on_demand =
        FleetRequest { market: Market::OnDemand, disk_gb: None, launch_template: "named".into(), ..request() };
    service.fleet.launch(&on_demand).await.unwrap();
    let [spot, plain] = &service.bodies()[..] else { panic!("two calls") };
    for part in [
        "Type=instant",
        "ClientToken=t&",
        "SpotOptions.AllocationStrategy=price-capacity-optimized",
        "TargetCapacitySpecification.TotalTargetCapacity=1",
        "TargetCapacitySpecification.DefaultTargetCapacityType=spot",
        "LaunchTemplateSpecification.LaunchTemplateId=lt-1&",
        "LaunchTemplateSpecification.Version=3",
        "Overrides.1.InstanceType=c7i.large",
        "Overrides.1.SubnetId=subnet-a",
        "DeviceName=%2Fdev%2Fxvda",
        "Ebs.Encrypted=true",
        "Ebs.VolumeSize=40",
        "Ebs.VolumeType=gp3",
        "TagSpecification.2.ResourceType=instance",
        "TagSpecification.2.Tag.1.Key=runnerless%3Alaunch",
        "TagSpecification.2.Tag.1.Value=l-1",
        "ResourceType=volume",
        "ResourceType=network-interface",
    ] {
        assert!(spot.contains(part), "{part}: {spot}");
    }
    for part in [
        "OnDemandOptions.AllocationStrategy=lowest-price",
        "DefaultTargetCapacityType=on-demand",
        "LaunchTemplateName=named",
        "Version=%24Latest",
    ] {
        assert!(plain.contains(part), "{part}: {plain}");
    }
    assert!(!plain.contains("Spot") && !plain.contains("BlockDevice"), "{plain}");
}

#[tokio::test]
async fn a_refusal_of_a_known_code_is_a_fault_and_nothing_else_is() {
    for (status, code, kind) in [
        (500, "InsufficientInstanceCapacity", FaultKind::Capacity),
        (400, "MaxSpotInstanceCountExceeded", FaultKind::Quota),
        (503, "RequestLimitExceeded", FaultKind::Throttled),
        (403, "UnauthorizedOperation", FaultKind::Configuration),
    ] {
        let service = Service::answering([refusal(status, code)]);
        let answer = FleetAnswer { instances: vec![], faults: vec![FleetFault::new(code, "no")] };
        assert_eq!(answer.faults[0].kind, kind);
        assert_eq!(service.fleet.launch(&request()).await.unwrap(), FleetOutcome::Answer(answer));
    }
    let used = Service::answering([refusal(400, "IdempotentParameterMismatch")]);
    assert_eq!(used.fleet.launch(&request()).await.unwrap(), FleetOutcome::Mismatch);
    let unknown = Service::answering([refusal(400, "SomethingNew")]);
    assert_eq!(unknown.fleet.launch(&request()).await.unwrap_err().name(), "Fleet.Refused");
    let broken = Service::answering([refusal(500, "InternalError")]);
    assert_eq!(broken.fleet.launch(&request()).await.unwrap_err().name(), "Fleet.Unavailable");
    let bodies = broken.bodies();
    assert!(bodies.len() == 3 && bodies.iter().all(|body| *body == bodies[0]), "the same request, the same token");
}

#[tokio::test]
async fn a_faults_message_is_cut() {
    let long = "x".repeat(2000);
    let (_, text) = refusal(403, "UnauthorizedOperation");
    let service = Service::answering([(403, text.replace(">no<", &format!(">{long}<")))]);
    let FleetOutcome::Answer(answer) = service.fleet.launch(&request()).await.unwrap() else { panic!("a mismatch") };
    assert_eq!(answer.faults[0].message.len(), 300);
}

fn shown(id: &str, state: &str, more: &str) -> String {
    format!(
        "<item><instancesSet><item><instanceId>{id}</instanceId><instanceState><code>16</code><name>{state}</name>\
         </instanceState><launchTime>2026-09-14T08:15:30.000Z</launchTime>{more}</item></instancesSet></item>"
    )
}

fn page(reservations: &str, next: &str) -> (u16, String) {
    let next = if next.is_empty() { String::new() } else { format!("<nextToken>{next}</nextToken>") };
    let set = format!("<reservationSet>{reservations}</reservationSet>");
    (200, format!("<DescribeInstancesResponse>{set}{next}</DescribeInstancesResponse>"))
}

#[tokio::test]
async fn all_pages_are_read_and_an_instance_is_read_whole() {
    let more = "<instanceType>c7i.large</instanceType><subnetId>subnet-a</subnetId><instanceLifecycle>spot</instanceLifecycle>\
        <iamInstanceProfile><arn>arn:profile</arn></iamInstanceProfile>\
        <tagSet><item><key>runnerless:stack</key><value>ours</value></item></tagSet>";
    let service =
        Service::answering([page(&shown("i-1", "running", more), "go-on"), page(&shown("i-2", "stopped", ""), "")]);
    let instances = service.fleet.list("ours").await.unwrap();
    assert_eq!(
        instances.iter().map(|one| one.state).collect::<Vec<_>>(),
        [InstanceState::Running, InstanceState::Stopped]
    );
    let first = &instances[0];
    assert_eq!((first.spot, first.subnet.as_str(), first.profile.as_deref()), (true, "subnet-a", Some("arn:profile")));
    assert_eq!((first.tag("runnerless:stack"), first.launched_at), (Some("ours"), Timestamp(1_789_373_730_000)));
    assert!(!instances[1].spot);
    let bodies = service.bodies();
    assert!(bodies[0].contains("Filter.1.Name=tag%3Arunnerless%3Astack&Filter.1.Value.1=ours"), "{}", bodies[0]);
    assert!(bodies[0].contains("instance-state-name") && !bodies[0].contains("=terminated"), "{}", bodies[0]);
    assert!(bodies.len() == 2 && bodies[1].contains("NextToken=go-on"), "{bodies:?}");
}

#[tokio::test]
async fn what_is_not_whole_or_not_known_is_no_answer() {
    let without_time = "<item><instancesSet><item><instanceId>i-1</instanceId><instanceState><name>running</name></instanceState></item></instancesSet></item>";
    for reservations in [without_time.to_owned(), shown("i-1", "hibernating", "")] {
        let service = Service::answering([page(&reservations, "")]);
        let error = service.fleet.of_launch(&LaunchId::new("l-1")).await.unwrap_err();
        assert_eq!(error.name(), "Fleet.Unavailable", "{error:?}");
    }
}

#[tokio::test]
async fn the_metadata_service_of_one_instance_is_switched_off() {
    let done =
        "<ModifyInstanceMetadataOptionsResponse><instanceId>i-1</instanceId></ModifyInstanceMetadataOptionsResponse>";
    let service = Service::answering([(200, done.to_owned()), refusal(403, "UnauthorizedOperation")]);
    service.fleet.hide_metadata("i-1").await.unwrap();
    let body = &service.bodies()[0];
    assert!(body.contains("InstanceId=i-1") && body.contains("HttpEndpoint=disabled"), "{body}");
    assert_eq!(service.fleet.hide_metadata("i-1").await.unwrap_err().name(), "Fleet.Refused");
}
