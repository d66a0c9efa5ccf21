//! What the driver reads from and says to the emulator's EC2, as its root: not through the witness, because on AWS
//! these are not calls but EC2 itself.

use std::collections::{BTreeMap, HashMap};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::xml::Element;
use crate::aws::{Aws, EC2};
use crate::http::HttpError;

/// EC2 cannot be talked to.
#[derive(Debug, thiserror::Error)]
pub enum Ec2Error {
    /// No answer, or an error.
    #[error(transparent)]
    Call(#[from] HttpError),
    /// An answer of another shape.
    #[error("the emulator's answer to {0} cannot be read")]
    Answer(&'static str),
}

/// An instance's record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) id: String,
    pub(crate) state: String,
    pub(crate) image: String,
    pub(crate) kind: String,
    pub(crate) zone: String,
    pub(crate) address: String,
    /// The instance profile's ARN.
    pub(crate) profile: Option<String>,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) volumes: Vec<Volume>,
}

impl Record {
    /// Whether it is on, or about to be.
    pub(crate) fn is_on(&self) -> bool {
        matches!(self.state.as_str(), "pending" | "running")
    }
}

/// A volume of an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Volume {
    pub(crate) id: String,
    pub(crate) device: String,
}

/// The launch template that a fleet's instance was made from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Origin {
    pub(crate) template: String,
    pub(crate) version: String,
    pub(crate) spot: bool,
}

/// What of a launch template concerns the inside of its instances.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Template {
    pub(crate) user_data: Option<Vec<u8>>,
    /// Whether tags are in the metadata (`InstanceMetadataTags`, off unless said).
    pub(crate) tags_in_metadata: bool,
    /// Whether there is a metadata service at all (`HttpEndpoint`, on unless said).
    pub(crate) metadata: bool,
    /// Whether an instance that switches itself off is terminated; else it is stopped.
    pub(crate) off_is_over: bool,
    /// Devices whose volumes outlive the instance.
    pub(crate) kept: Vec<String>,
}

/// The emulator's EC2.
#[derive(Clone, Debug)]
pub(crate) struct Ec2 {
    aws: Aws,
}

impl Ec2 {
    pub(crate) fn new(aws: Aws) -> Self {
        Self { aws }
    }

    /// All instances that EC2 still shows.
    pub(crate) async fn instances(&self) -> Result<Vec<Record>, Ec2Error> {
        let answer = self.call("DescribeInstances", &[]).await?;
        let reservations = answer.list("reservationSet");
        Ok(reservations.flat_map(|reservation| reservation.list("instancesSet")).filter_map(record).collect())
    }

    /// All subnets, each with its VPC.
    pub(crate) async fn subnets(&self) -> Result<Vec<(String, String)>, Ec2Error> {
        let answer = self.call("DescribeSubnets", &[]).await?;
        let text = |subnet: &Element, name: &str| subnet.text_at(&[name]).map(str::to_owned);
        let both = |subnet: &Element| Some((text(subnet, "subnetId")?, text(subnet, "vpcId")?));
        Ok(answer.list("subnetSet").filter_map(both).collect())
    }

    /// The ids of all volumes.
    pub(crate) async fn volumes(&self) -> Result<Vec<String>, Ec2Error> {
        let answer = self.call("DescribeVolumes", &[]).await?;
        Ok(answer.list("volumeSet").filter_map(|volume| volume.text_at(&["volumeId"]).map(str::to_owned)).collect())
    }

    /// From which launch template each instance of a fleet was made. Records tell nothing of it.
    pub(crate) async fn origins(&self) -> Result<HashMap<String, Origin>, Ec2Error> {
        let answer = self.call("DescribeFleets", &[]).await?;
        let groups = answer.list("fleetSet").flat_map(|fleet| fleet.list("fleetInstanceSet"));
        let mut origins = HashMap::new();
        for group in groups {
            let Some(origin) = origin(group) else { continue };
            let ids = group.list("instanceIds").map(Element::text);
            origins.extend(ids.map(|id| (id.to_owned(), origin.clone())));
        }
        Ok(origins)
    }

    /// The version of a launch template.
    pub(crate) async fn template(&self, origin: &Origin) -> Result<Template, Ec2Error> {
        let by = if origin.template.starts_with("lt-") { "LaunchTemplateId" } else { "LaunchTemplateName" };
        let parameters = [(by, origin.template.as_str()), ("LaunchTemplateVersion.1", &origin.version)];
        let answer = self.call("DescribeLaunchTemplateVersions", &parameters).await?;
        let version = answer.list("launchTemplateVersionSet").next();
        let data = version.and_then(|version| version.child("launchTemplateData"));
        data.and_then(template).ok_or(Ec2Error::Answer("DescribeLaunchTemplateVersions"))
    }

    /// An instance's end, or its stop.
    pub(crate) async fn end(&self, instance: &str, is_over: bool) -> Result<(), Ec2Error> {
        let operation = if is_over { "TerminateInstances" } else { "StopInstances" };
        match self.call(operation, &[("InstanceId.1", instance)]).await {
            // It is forgotten already.
            Err(Ec2Error::Call(HttpError::Refused { body, .. })) if body.contains("InvalidInstanceID.NotFound") => {
                Ok(())
            }
            other => other.map(drop),
        }
    }

    /// Removes a volume of an instance that is over.
    pub(crate) async fn remove(&self, volume: &str) -> Result<(), Ec2Error> {
        match self.call("DetachVolume", &[("VolumeId", volume)]).await {
            // It is detached already; if not, it cannot be removed.
            Ok(_) | Err(Ec2Error::Call(HttpError::Refused { .. })) => {}
            Err(error) => return Err(error),
        }
        self.call("DeleteVolume", &[("VolumeId", volume)]).await.map(drop)
    }

    async fn call(&self, operation: &'static str, parameters: &[(&str, &str)]) -> Result<Element, Ec2Error> {
        let answer = self.aws.query(EC2, operation, parameters).await?;
        Element::parse(&answer).ok_or(Ec2Error::Answer(operation))
    }
}

fn record(item: &Element) -> Option<Record> {
    let text = |path: &[&str]| item.text_at(path).unwrap_or_default().to_owned();
    let tag = |tag: &Element| Some((tag.text_at(&["key"])?.to_owned(), tag.child("value")?.text().to_owned()));
    let volume = |mapping: &Element| {
        let id = mapping.text_at(&["ebs", "volumeId"])?.to_owned();
        Some(Volume { id, device: mapping.text_at(&["deviceName"]).unwrap_or_default().to_owned() })
    };
    Some(Record {
        id: item.text_at(&["instanceId"])?.to_owned(),
        state: text(&["instanceState", "name"]),
        image: text(&["imageId"]),
        kind: text(&["instanceType"]),
        zone: text(&["placement", "availabilityZone"]),
        address: text(&["privateIpAddress"]),
        profile: item.text_at(&["iamInstanceProfile", "arn"]).map(str::to_owned),
        tags: item.list("tagSet").filter_map(tag).collect(),
        volumes: item.list("blockDeviceMapping").filter_map(volume).collect(),
    })
}

fn origin(group: &Element) -> Option<Origin> {
    let specification = group.at(&["launchTemplateAndOverrides", "launchTemplateSpecification"])?;
    let template = specification.text_at(&["launchTemplateId"]).or(specification.text_at(&["launchTemplateName"]))?;
    let version = specification.text_at(&["version"]).unwrap_or("$Default");
    let spot = group.text_at(&["lifecycle"]) == Some("spot");
    Some(Origin { template: template.to_owned(), version: version.to_owned(), spot })
}

/// `None` for user data that is no base64.
fn template(data: &Element) -> Option<Template> {
    let user_data = match data.text_at(&["userData"]) {
        Some(encoded) => Some(STANDARD.decode(encoded.split_ascii_whitespace().collect::<String>()).ok()?),
        None => None,
    };
    let is_kept = |mapping: &&Element| mapping.text_at(&["ebs", "deleteOnTermination"]) == Some("false");
    let device = |mapping: &Element| mapping.text_at(&["deviceName"]).map(str::to_owned);
    Some(Template {
        user_data,
        tags_in_metadata: data.text_at(&["metadataOptions", "instanceMetadataTags"]) == Some("enabled"),
        metadata: data.text_at(&["metadataOptions", "httpEndpoint"]) != Some("disabled"),
        off_is_over: data.text_at(&["instanceInitiatedShutdownBehavior"]) == Some("terminate"),
        kept: data.list("blockDeviceMappingSet").filter(is_kept).filter_map(device).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_launch_template_does_not_say_is_what_aws_does_then() {
        let of = |inner: &str| template(&Element::parse(&format!("<data>{inner}</data>")).unwrap());
        assert_eq!(of("<imageId>ami-1</imageId>"), Some(Template { metadata: true, ..Template::default() }));
        let all = "<userData>IyEvYmlu
L3No</userData><metadataOptions><httpEndpoint>disabled</httpEndpoint><instanceMetadataTags>enabled</instanceMetadataTags></metadataOptions>
            <instanceInitiatedShutdownBehavior>terminate</instanceInitiatedShutdownBehavior>
            <blockDeviceMappingSet><item><deviceName>/dev/xvda</deviceName><ebs><deleteOnTermination>false</deleteOnTermination></ebs></item>
            <item><deviceName>/dev/xvdb</deviceName><ebs><deleteOnTermination>true</deleteOnTermination></ebs></item></blockDeviceMappingSet>";
        let expected = Template {
            user_data: Some(b"#!/bin/sh".to_vec()),
            tags_in_metadata: true,
            metadata: false,
            off_is_over: true,
            kept: vec!["/dev/xvda".to_owned()],
        };
        assert_eq!(of(all), Some(expected));
        assert_eq!(of("<userData>%</userData>"), None);
    }
}
