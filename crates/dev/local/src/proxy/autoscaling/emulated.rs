//! What of a group is the emulator's: its record, its hook, and the instances that its members are. As its root, and not
//! through the witness: on AWS these are not calls, but Auto Scaling itself.

use std::collections::BTreeMap;

use jiff::SignedDuration;

use super::group::{Definition, Hook, Refusal};
use crate::aws::{AUTO_SCALING, Aws, EC2};
use crate::http::HttpError;
use crate::instances::{Ec2, Ec2Error, Element, GROUP_TAG};

/// The transition of a hook for members that are to end.
const TERMINATING: &str = "autoscaling:EC2_INSTANCE_TERMINATING";

/// What keeps a call from its answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    /// AWS would refuse it.
    #[error("{}: {}", .0.code, .0.message)]
    Refused(Refusal),
    /// The emulator.
    #[error(transparent)]
    Call(#[from] HttpError),
    /// Its EC2.
    #[error(transparent)]
    Ec2(#[from] Ec2Error),
    /// An answer of another shape.
    #[error("the emulator's answer to {0} cannot be read")]
    Answer(&'static str),
    /// A group without something that members need.
    #[error("group {0} cannot launch: it has no launch template that is known here")]
    NoTemplate(String),
}

impl From<Refusal> for Trouble {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// An instance that was launched.
#[derive(Clone, Debug)]
pub(super) struct Launched {
    pub(super) id: String,
    pub(super) kind: String,
    pub(super) zone: String,
}

/// The emulator.
#[derive(Debug)]
pub(super) struct Emulated {
    aws: Aws,
    ec2: Ec2,
}

impl Emulated {
    pub(super) fn new(aws: Aws) -> Self {
        Self { ec2: Ec2::new(aws.clone()), aws }
    }

    /// All groups, without their hooks.
    pub(super) async fn groups(&self) -> Result<Vec<Definition>, Trouble> {
        let answer = self.call("DescribeAutoScalingGroups", &[]).await?;
        let result =
            answer.child("DescribeAutoScalingGroupsResult").ok_or(Trouble::Answer("DescribeAutoScalingGroups"))?;
        let groups = result.list("AutoScalingGroups").map(definition);
        groups.collect::<Option<Vec<_>>>().ok_or(Trouble::Answer("DescribeAutoScalingGroups"))
    }

    /// The group's hook for members that are to end.
    pub(super) async fn hook(&self, group: &str) -> Result<Option<Hook>, Trouble> {
        let answer = self.call("DescribeLifecycleHooks", &[("AutoScalingGroupName", group)]).await?;
        let result = answer.child("DescribeLifecycleHooksResult").ok_or(Trouble::Answer("DescribeLifecycleHooks"))?;
        let hook = |hook: &Element| {
            let heartbeat = hook.text_at(&["HeartbeatTimeout"])?.parse().ok()?;
            let name = hook.text_at(&["LifecycleHookName"])?.to_owned();
            Some(Hook { name, heartbeat: SignedDuration::from_secs(heartbeat) })
        };
        let mut terminating =
            result.list("LifecycleHooks").filter(|hook| hook.text_at(&["LifecycleTransition"]) == Some(TERMINATING));
        Ok(terminating.next().and_then(hook))
    }

    /// How many members a group wants.
    pub(super) async fn set_desired(&self, group: &str, desired: u32) -> Result<(), Trouble> {
        let parameters = [("AutoScalingGroupName", group), ("DesiredCapacity", &desired.to_string())];
        self.call("SetDesiredCapacity", &parameters).await.map(drop)
    }

    /// The state of every instance.
    pub(super) async fn instances(&self) -> Result<BTreeMap<String, String>, Trouble> {
        let all = self.ec2.instances().await?;
        Ok(all.into_iter().map(|instance| (instance.id, instance.state)).collect())
    }

    /// Ends an instance.
    pub(super) async fn end(&self, instance: &str) -> Result<(), Trouble> {
        Ok(self.ec2.end(instance, true).await?)
    }

    /// Launches one instance for the group: a fleet of one, as Auto Scaling does. The group's own tag is on it from its birth.
    pub(super) async fn launch(&self, group: &Definition, subnet: Option<&str>) -> Result<Launched, Trouble> {
        let no_template = || Trouble::NoTemplate(group.name.clone());
        let (template, version) = group.template.as_ref().ok_or_else(no_template)?;
        // Of a group that was made by a template's name the emulator shows that as its id.
        let by = if template.starts_with("lt-") { "LaunchTemplateId" } else { "LaunchTemplateName" };
        let config = |rest: &str| format!("LaunchTemplateConfigs.1.{rest}");
        let mut parameters = vec![
            ("Type".to_owned(), "instant".to_owned()),
            ("TargetCapacitySpecification.TotalTargetCapacity".to_owned(), "1".to_owned()),
            (config(&format!("LaunchTemplateSpecification.{by}")), template.clone()),
            (config("LaunchTemplateSpecification.Version"), version.clone()),
            ("TagSpecification.1.ResourceType".to_owned(), "instance".to_owned()),
        ];
        if let Some(subnet) = subnet {
            parameters.push((config("Overrides.1.SubnetId"), subnet.to_owned()));
        }
        let own = (GROUP_TAG.to_owned(), group.name.clone());
        let propagated = group.tags.iter().filter(|tag| tag.2).map(|(key, value, _)| (key.clone(), value.clone()));
        for (at, (key, value)) in (1..).zip(propagated.chain([own])) {
            parameters.push((format!("TagSpecification.1.Tag.{at}.Key"), key));
            parameters.push((format!("TagSpecification.1.Tag.{at}.Value"), value));
        }
        let parameters: Vec<(&str, &str)> =
            parameters.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let answer = self.aws.query(EC2, "CreateFleet", &parameters).await?;
        let unreadable = || Trouble::Answer("CreateFleet");
        let answer = Element::parse(&answer).ok_or_else(unreadable)?;
        let mut ids = answer.list("fleetInstanceSet").flat_map(|group| group.list("instanceIds"));
        let id = ids.next().map(|id| id.text().to_owned()).ok_or_else(unreadable)?;
        let record = self.ec2.instances().await?.into_iter().find(|record| record.id == id).ok_or_else(unreadable)?;
        Ok(Launched { id, kind: record.kind, zone: record.zone })
    }

    async fn call(&self, operation: &'static str, parameters: &[(&str, &str)]) -> Result<Element, Trouble> {
        let answer = self.aws.query(AUTO_SCALING, operation, parameters).await?;
        Element::parse(&answer).ok_or(Trouble::Answer(operation))
    }
}

fn definition(shown: &Element) -> Option<Definition> {
    let text = |name: &str| shown.text_at(&[name]).map(str::to_owned);
    let number = |name: &str| shown.text_at(&[name])?.parse().ok();
    let tag = |tag: &Element| {
        let text = |name: &str| tag.text_at(&[name]).unwrap_or_default().to_owned();
        (text("Key"), text("Value"), text("PropagateAtLaunch") == "true")
    };
    let template = shown.text_at(&["LaunchTemplate", "LaunchTemplateId"]).map(|template| {
        let version = shown.text_at(&["LaunchTemplate", "Version"]).unwrap_or("$Default");
        (template.to_owned(), version.to_owned())
    });
    let subnets = text("VPCZoneIdentifier").unwrap_or_default();
    Some(Definition {
        name: text("AutoScalingGroupName")?,
        arn: text("AutoScalingGroupARN")?,
        created: text("CreatedTime")?,
        minimum: number("MinSize")?,
        maximum: number("MaxSize")?,
        desired: number("DesiredCapacity")?,
        // The emulator writes what CloudFormation gave, which may begin with a capital.
        protects: text("NewInstancesProtectedFromScaleIn").is_some_and(|flag| flag.eq_ignore_ascii_case("true")),
        subnets: subnets.split(',').filter(|subnet| !subnet.is_empty()).map(str::to_owned).collect(),
        zones: shown.list("AvailabilityZones").map(|zone| zone.text().to_owned()).collect(),
        tags: shown.list("Tags").map(tag).collect(),
        template,
        hook: None,
    })
}
