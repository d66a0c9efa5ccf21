//! What Auto Scaling and EC2 answer for a group of so many members.

use std::fmt::Write as _;

/// By operation. All members are at one address, where the bench's exporter is.
pub(super) fn of(group: &str, members: u32) -> [(&'static str, String); 3] {
    let (mut shown, mut instances) = (String::new(), String::new());
    for number in 0..members {
        // Writing to a text cannot fail.
        let _ = write!(
            shown,
            "<member><InstanceId>i-{number:017x}</InstanceId><LifecycleState>InService</LifecycleState>\
             <HealthStatus>Healthy</HealthStatus><AvailabilityZone>us-east-1a</AvailabilityZone>\
             <InstanceType>m7i.large</InstanceType><ProtectedFromScaleIn>true</ProtectedFromScaleIn></member>"
        );
        let _ = write!(
            instances,
            "<item><instancesSet><item><instanceId>i-{number:017x}</instanceId><instanceState><code>16</code>\
             <name>running</name></instanceState><launchTime>2026-09-14T08:15:30.000Z</launchTime>\
             <privateIpAddress>127.0.0.1</privateIpAddress><instanceType>m7i.large</instanceType></item></instancesSet></item>"
        );
    }
    let groups = format!(
        "<DescribeAutoScalingGroupsResponse><DescribeAutoScalingGroupsResult><AutoScalingGroups><member>\
         <AutoScalingGroupName>{group}</AutoScalingGroupName><MinSize>0</MinSize><MaxSize>{members}</MaxSize>\
         <DesiredCapacity>{members}</DesiredCapacity><DefaultCooldown>300</DefaultCooldown>\
         <HealthCheckType>EC2</HealthCheckType><CreatedTime>2026-09-14T08:15:30Z</CreatedTime>\
         <NewInstancesProtectedFromScaleIn>true</NewInstancesProtectedFromScaleIn>\
         <SuspendedProcesses><member><ProcessName>AZRebalance</ProcessName></member></SuspendedProcesses>\
         <Instances>{shown}</Instances></member></AutoScalingGroups></DescribeAutoScalingGroupsResult></DescribeAutoScalingGroupsResponse>"
    );
    let hooks = format!(
        "<DescribeLifecycleHooksResponse><DescribeLifecycleHooksResult><LifecycleHooks><member>\
         <LifecycleHookName>runnerless-drain</LifecycleHookName><AutoScalingGroupName>{group}</AutoScalingGroupName>\
         <LifecycleTransition>autoscaling:EC2_INSTANCE_TERMINATING</LifecycleTransition>\
         <HeartbeatTimeout>1800</HeartbeatTimeout><DefaultResult>CONTINUE</DefaultResult></member></LifecycleHooks>\
         </DescribeLifecycleHooksResult></DescribeLifecycleHooksResponse>"
    );
    let instances =
        format!("<DescribeInstancesResponse><reservationSet>{instances}</reservationSet></DescribeInstancesResponse>");
    [
        ("autoscaling:DescribeAutoScalingGroups", groups),
        ("autoscaling:DescribeLifecycleHooks", hooks),
        ("ec2:DescribeInstances", instances),
    ]
}
