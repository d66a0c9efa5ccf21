//! Auto Scaling's answers, as AWS documents them: the emulator has few of its operations.

#![allow(clippy::unwrap_used, reason = "a test fails where something is not as it should be")]

mod scripted;

use runnerless_aws::AwsError;
use runnerless_aws_ec2::leave::{Heard, Hooked, Leave};
use runnerless_aws_ec2::pool::Left;
use runnerless_aws_ec2::{AutoScaling, Pool as _};
use runnerless_core::pool::{Hook, Phase};
use runnerless_core::time::{Millis, Timestamp};
use scripted::{Scripted, credentials};

struct Service {
    pool: AutoScaling,
    scripted: Scripted,
}

impl Service {
    fn answering(answers: impl IntoIterator<Item = (u16, String)>) -> Self {
        let scripted = Scripted::answering(answers);
        Self { pool: AutoScaling::new(&scripted.place, &credentials()), scripted }
    }

    fn bodies(&self) -> Vec<String> {
        self.scripted.bodies()
    }
}

fn answer(operation: &str, inner: &str) -> (u16, String) {
    let result = format!("<{operation}Result>{inner}</{operation}Result>");
    (
        200,
        format!(
            "<{operation}Response xmlns=\"http://autoscaling.amazonaws.com/doc/2011-01-01/\">{result}</{operation}Response>"
        ),
    )
}

fn refusal(status: u16, code: &str, message: &str) -> (u16, String) {
    let error = format!("<Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>");
    (status, format!("<ErrorResponse>{error}<RequestId>r</RequestId></ErrorResponse>"))
}

fn groups(groups: &str) -> (u16, String) {
    answer("DescribeAutoScalingGroups", &format!("<AutoScalingGroups>{groups}</AutoScalingGroups>"))
}

fn group(more: &str) -> String {
    format!(
        "<member><AutoScalingGroupName>builds</AutoScalingGroupName><MinSize>0</MinSize><MaxSize>9</MaxSize>\
         <DesiredCapacity>3</DesiredCapacity><DefaultCooldown>300</DefaultCooldown><HealthCheckType>EC2</HealthCheckType>\
         <CreatedTime>2026-09-14T08:15:30Z</CreatedTime>{more}</member>"
    )
}

fn member(id: &str, state: &str, protected: &str) -> String {
    format!(
        "<member><InstanceId>{id}</InstanceId><LifecycleState>{state}</LifecycleState><HealthStatus>Healthy</HealthStatus>\
         <AvailabilityZone>us-east-1a</AvailabilityZone><ProtectedFromScaleIn>{protected}</ProtectedFromScaleIn></member>"
    )
}

fn hooks(hooks: &[(&str, &str, u32, &str)]) -> (u16, String) {
    let hooks = hooks.iter().map(|(name, transition, seconds, default)| {
        format!(
            "<member><LifecycleHookName>{name}</LifecycleHookName><AutoScalingGroupName>builds</AutoScalingGroupName>\
             <LifecycleTransition>autoscaling:EC2_INSTANCE_{transition}</LifecycleTransition>\
             <HeartbeatTimeout>{seconds}</HeartbeatTimeout><DefaultResult>{default}</DefaultResult></member>"
        )
    });
    let hooks: String = hooks.collect();
    answer("DescribeLifecycleHooks", &format!("<LifecycleHooks>{hooks}</LifecycleHooks>"))
}

#[tokio::test]
async fn a_group_is_read_whole_with_the_hook_of_members_that_terminate() {
    let members = [
        member("i-1", "InService", "true"),
        member("i-2", "Pending:Wait", "false"),
        member("i-3", "Terminating:Wait", "true"),
        member("i-4", "ReplacingRootVolume", "true"),
    ];
    let suspended = "<SuspendedProcesses><member><ProcessName>AZRebalance</ProcessName>\
        <SuspensionReason>User suspended</SuspensionReason></member></SuspendedProcesses>";
    let shown = format!(
        "<NewInstancesProtectedFromScaleIn>true</NewInstancesProtectedFromScaleIn>{suspended}<Instances>{}</Instances>",
        members.concat()
    );
    let service = Service::answering([
        groups(&group(&shown)),
        hooks(&[
            ("starts", "LAUNCHING", 30, "ABANDON"),
            ("logs", "TERMINATING", 7200, "CONTINUE"),
            ("runnerless-drain", "TERMINATING", 1800, "CONTINUE"),
        ]),
    ]);
    let group = service.pool.group("builds").await.unwrap().unwrap();
    assert_eq!((group.minimum, group.maximum, group.desired, group.protects_new_members), (0, 9, 3, true));
    assert_eq!(group.suspended, ["AZRebalance"]);
    let shortest = Hook {
        name: "runnerless-drain".to_owned(),
        heartbeat: Millis::secs(1800),
        default_result: "CONTINUE".to_owned(),
    };
    assert_eq!(group.hook, Some(shortest));
    let phases: Vec<_> = group.members.iter().map(|member| (member.id.as_str(), &member.phase)).collect();
    let other = Phase::Other("ReplacingRootVolume".to_owned());
    let expected = [("i-1", &Phase::InService), ("i-2", &Phase::Booting), ("i-3", &Phase::Leaving), ("i-4", &other)];
    assert_eq!(phases, expected);
    assert_eq!(group.members.iter().map(|member| member.protected).collect::<Vec<_>>(), [true, false, true, true]);
    let [first, second] = &service.bodies()[..] else { panic!("two calls") };
    assert!(first.contains("Action=DescribeAutoScalingGroups") && first.contains("member.1=builds"), "{first}");
    assert!(second.contains("Action=DescribeLifecycleHooks") && second.contains("=builds"), "{second}");
}

#[tokio::test]
async fn a_group_that_is_not_there_is_none_and_one_that_is_not_whole_is_no_answer() {
    assert_eq!(Service::answering([groups("")]).pool.group("builds").await.unwrap(), None);
    let nameless = "<Instances><member><LifecycleState>InService</LifecycleState></member></Instances>";
    let stateless = "<Instances><member><InstanceId>i-1</InstanceId></member></Instances>";
    let ends = "<Status>Delete in progress</Status>";
    for shown in [group(nameless), group(stateless), group(ends)] {
        let service = Service::answering([groups(&shown), hooks(&[])]);
        assert_eq!(service.pool.group("builds").await.unwrap_err().name(), "Scaling.Unavailable", "{shown}");
    }
    let service = Service::answering([groups(&group("")), (200, "<html>".to_owned())]);
    assert_eq!(
        service.pool.group("builds").await.unwrap_err().name(),
        "Scaling.Refused",
        "no Auto Scaling answers there"
    );
    let service = Service::answering([groups(&group("")), refusal(403, "AccessDenied", "no")]);
    let error = service.pool.group("builds").await.unwrap_err();
    assert_eq!(error.name(), "Scaling.Refused", "a hook that nobody may look at is not a hook that is not there");
}

#[tokio::test]
async fn addresses_are_asked_for_by_the_tag_that_auto_scaling_sets_and_all_pages_are_read() {
    let instance = |id: &str, address: &str| {
        format!(
            "<item><instancesSet><item><instanceId>{id}</instanceId><instanceState><name>running</name></instanceState>\
             <launchTime>2026-09-14T08:15:30.000Z</launchTime>{address}</item></instancesSet></item>"
        )
    };
    let page = |reservations: &str, next: &str| {
        let set = format!("<reservationSet>{reservations}</reservationSet>");
        (200, format!("<DescribeInstancesResponse>{set}<nextToken>{next}</nextToken></DescribeInstancesResponse>"))
    };
    let first = instance("i-1", "<privateIpAddress>10.0.0.7</privateIpAddress>");
    let second = instance("i-2", "<privateIpAddress>fd00::1</privateIpAddress>") + &instance("i-3", "");
    let timeless = instance("i-4", "").replace("launchTime", "someTime");
    let service = Service::answering([page(&first, "go-on"), page(&(second + &timeless), "")]);
    let machines = service.pool.machines("builds").await.unwrap();
    let addresses: Vec<_> =
        machines.iter().map(|(id, one)| (id.as_str(), one.address.map(|address| address.to_string()))).collect();
    let expected = [("i-1", Some("10.0.0.7".to_owned())), ("i-2", Some("fd00::1".to_owned())), ("i-3", None)];
    assert_eq!(addresses, expected);
    assert_eq!(machines["i-1"].launched_at, Timestamp(1_789_373_730_000));
    let bodies = service.bodies();
    for part in ["Filter.1.Name=tag%3Aaws%3Aautoscaling%3AgroupName&Filter.1.Value.1=builds", "Value.1=pending"] {
        assert!(bodies[0].contains(part), "{part}: {}", bodies[0]);
    }
    assert!(bodies.len() == 2 && bodies[1].contains("NextToken=go-on"), "{bodies:?}");
}

#[tokio::test]
async fn the_desired_capacity_is_set_at_once_and_what_is_refused_has_a_name() {
    let service = Service::answering([answer("SetDesiredCapacity", "")]);
    service.pool.set_desired("builds", 5).await.unwrap();
    let body = &service.bodies()[0];
    for part in ["AutoScalingGroupName=builds", "DesiredCapacity=5", "HonorCooldown=false"] {
        assert!(body.contains(part), "{part}: {body}");
    }
    for (status, code, name, calls) in [
        (400, "ValidationError", "Scaling.Refused", 1),
        (403, "AccessDenied", "Scaling.Refused", 1),
        (400, "Throttling", "Scaling.Throttled", 3),
        (500, "ResourceContention", "Scaling.Throttled", 3),
        (400, "ScalingActivityInProgress", "Scaling.Throttled", 1),
        (500, "InternalFailure", "Scaling.Unavailable", 3),
    ] {
        let service = Service::answering([refusal(status, code, "no")]);
        let error = service.pool.set_desired("builds", 5).await.unwrap_err();
        assert_eq!((error.name(), service.bodies().len()), (name, calls), "{code}");
    }
}

#[tokio::test]
async fn a_member_is_asked_to_go_once_whatever_the_answer() {
    let service = Service::answering([answer("TerminateInstanceInAutoScalingGroup", "")]);
    assert_eq!(service.pool.retire("i-1", true).await.unwrap(), Left::Asked);
    assert_eq!(service.pool.retire("i-2", false).await.unwrap(), Left::Asked);
    let bodies = service.bodies();
    assert!(bodies[0].contains("InstanceId=i-1&ShouldDecrementDesiredCapacity=true"), "{}", bodies[0]);
    assert!(bodies[1].contains("InstanceId=i-2&ShouldDecrementDesiredCapacity=false"), "{}", bodies[1]);

    let gone = "Instance Id not found - No managed instance found for instance ID: i-1";
    let service = Service::answering([refusal(400, "ValidationError", gone)]);
    assert_eq!(service.pool.retire("i-1", true).await.unwrap(), Left::Gone);
    let minimum = "Currently, desiredSize equals minSize (1). Terminating instance without replacement will violate";
    for (status, code, message, name) in [
        (400, "ValidationError", minimum, "Scaling.Refused"),
        (400, "Throttling", "Rate exceeded", "Scaling.Throttled"),
        (500, "InternalFailure", "", "Scaling.Unavailable"),
    ] {
        let service = Service::answering([refusal(status, code, message)]);
        let error: AwsError = service.pool.retire("i-1", true).await.unwrap_err();
        assert_eq!((error.name(), service.bodies().len()), (name, 1), "{code}: a second wish might lower it twice");
    }
}

#[tokio::test]
async fn members_are_protected_fifty_at_a_time_and_a_process_is_suspended_by_name() {
    let service = Service::answering([answer("SetInstanceProtection", "")]);
    let ids: Vec<String> = (1..=120).map(|number| format!("i-{number}")).collect();
    service.pool.protect("builds", &ids).await.unwrap();
    let bodies = service.bodies();
    let counts: Vec<_> = bodies.iter().map(|body| body.matches("InstanceIds.member.").count()).collect();
    assert_eq!(counts, [50, 50, 20]);
    assert!(bodies.iter().all(|body| body.contains("ProtectedFromScaleIn=true")), "{}", bodies[0]);
    let service = Service::answering([answer("SuspendProcesses", "")]);
    service.pool.suspend("builds", "AZRebalance").await.unwrap();
    let body = &service.bodies()[0];
    assert!(body.contains("ScalingProcesses.member.1=AZRebalance") && body.contains("=builds"), "{body}");
    let service = Service::answering([refusal(400, "ResourceInUse", "an update is under way")]);
    assert_eq!(service.pool.suspend("builds", "AZRebalance").await.unwrap_err().name(), "Scaling.Refused");
}

#[tokio::test]
async fn who_leaves_hears_that_nothing_waits_and_else_that_it_was_auto_scaling() {
    let nothing = refusal(400, "ValidationError", "No active Lifecycle Action found with instance ID i-1");
    let denied = refusal(403, "AccessDenied", "not allowed");
    let scripted = Scripted::answering([nothing, denied.clone(), denied]);
    let hooked = Hooked { group: "builds".into(), hook: "drain".into(), instance: "i-1".into() };
    let leave = Leave::new(&scripted.place, &credentials(), hooked);
    assert_eq!(leave.beat().await.unwrap(), Heard::NothingWaits);
    for refused in [leave.beat().await, leave.complete().await] {
        let error = refused.unwrap_err();
        assert_eq!(error.name(), "Scaling.Refused", "{error}");
    }
}
