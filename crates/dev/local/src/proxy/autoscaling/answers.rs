//! Auto Scaling's answers: the query protocol's XML.

use std::fmt::Write as _;

use hyper::{HeaderMap, Response, StatusCode};
use jiff::Timestamp;

use super::super::{Body, answers};
use super::group::{Group, Member, Refusal};

const NAMESPACE: &str = "http://autoscaling.amazonaws.com/doc/2011-01-01/";

/// A success, with this result; none for operations that have none.
pub(super) fn done(operation: &str, result: Option<&str>) -> Response<Body> {
    let result = result.map(|inner| format!("<{operation}Result>{inner}</{operation}Result>")).unwrap_or_default();
    let id = "<ResponseMetadata><RequestId>witness</RequestId></ResponseMetadata>";
    answers::xml(
        StatusCode::OK,
        format!("<{operation}Response xmlns=\"{NAMESPACE}\">{result}{id}</{operation}Response>"),
    )
}

pub(super) fn refused(refusal: &Refusal) -> Response<Body> {
    let mut form = HeaderMap::new();
    form.insert("content-type", hyper::header::HeaderValue::from_static("application/x-www-form-urlencoded"));
    answers::error(Some("autoscaling"), &form, refusal.code, &escaped(&refusal.message))
}

/// A group, as `DescribeAutoScalingGroups` shows it.
pub(super) fn group(group: &Group) -> String {
    let definition = &group.definition;
    let name = escaped(&definition.name);
    let mut text = format!(
        "<member><AutoScalingGroupName>{name}</AutoScalingGroupName><AutoScalingGroupARN>{}</AutoScalingGroupARN><MinSize>{}</MinSize><MaxSize>{}</MaxSize><DesiredCapacity>{}</DesiredCapacity><DefaultCooldown>300</DefaultCooldown><HealthCheckType>EC2</HealthCheckType><HealthCheckGracePeriod>0</HealthCheckGracePeriod><CreatedTime>{}</CreatedTime><NewInstancesProtectedFromScaleIn>{}</NewInstancesProtectedFromScaleIn><VPCZoneIdentifier>{}</VPCZoneIdentifier>",
        definition.arn,
        definition.minimum,
        definition.maximum,
        definition.desired,
        definition.created,
        definition.protects,
        definition.subnets.join(","),
    );
    list(&mut text, "AvailabilityZones", &definition.zones, |zone| format!("<member>{zone}</member>"));
    list(&mut text, "Instances", &group.members, |one| format!("<member>{}</member>", member(group, one, None)));
    list(&mut text, "SuspendedProcesses", &group.suspended, |process| {
        format!(
            "<member><ProcessName>{process}</ProcessName><SuspensionReason>User suspended</SuspensionReason></member>"
        )
    });
    list(&mut text, "Tags", &definition.tags, |(key, value, is_propagated)| {
        format!(
            "<member><ResourceId>{name}</ResourceId><ResourceType>auto-scaling-group</ResourceType><Key>{}</Key><Value>{}</Value><PropagateAtLaunch>{is_propagated}</PropagateAtLaunch></member>",
            escaped(key),
            escaped(value)
        )
    });
    text + "</member>"
}

/// What is shown of a member; with the group's name where instances are shown by themselves.
pub(super) fn member(group: &Group, member: &Member, name: Option<&str>) -> String {
    let name = name.map(|name| format!("<AutoScalingGroupName>{}</AutoScalingGroupName>", escaped(name)));
    let template = group.definition.template.as_ref().map(|(template, version)| {
        format!("<LaunchTemplate><LaunchTemplateId>{template}</LaunchTemplateId><Version>{version}</Version></LaunchTemplate>")
    });
    format!(
        "<InstanceId>{}</InstanceId>{}<InstanceType>{}</InstanceType><AvailabilityZone>{}</AvailabilityZone><LifecycleState>{}</LifecycleState><HealthStatus>Healthy</HealthStatus><ProtectedFromScaleIn>{}</ProtectedFromScaleIn>{}",
        member.id,
        name.unwrap_or_default(),
        member.kind,
        member.zone,
        member.state.name(),
        member.protected,
        template.unwrap_or_default(),
    )
}

/// The activity that comes of the end of a member.
pub(super) fn activity(group: &str, instance: &str, now: Timestamp) -> String {
    format!(
        "<Activity><ActivityId>witness-{instance}</ActivityId><AutoScalingGroupName>{}</AutoScalingGroupName><Description>Terminating EC2 instance: {instance}</Description><Cause>At {now} instance {instance} was taken out of service in response to a user request.</Cause><StartTime>{now}</StartTime><StatusCode>InProgress</StatusCode><Progress>0</Progress></Activity>",
        escaped(group)
    )
}

fn list<T>(text: &mut String, name: &str, items: impl IntoIterator<Item = T>, one: impl Fn(T) -> String) {
    let _ = write!(text, "<{name}>");
    items.into_iter().for_each(|item| text.push_str(&one(item)));
    let _ = write!(text, "</{name}>");
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
