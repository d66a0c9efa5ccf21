//! From a frozen request to EC2's form of it.
//!
//! The same request gives the same form in every release that reads its version: EC2 compares what comes under a token with
//! what came before.

use aws_sdk_ec2::Client;
use aws_sdk_ec2::operation::create_fleet::builders::CreateFleetFluentBuilder;
use aws_sdk_ec2::types::{
    DefaultTargetCapacityType, FleetBlockDeviceMappingRequest, FleetEbsBlockDeviceRequest,
    FleetLaunchTemplateConfigRequest, FleetLaunchTemplateOverridesRequest, FleetLaunchTemplateSpecificationRequest,
    FleetOnDemandAllocationStrategy, FleetType, InstanceType, OnDemandOptionsRequest, ResourceType,
    SpotAllocationStrategy, SpotOptionsRequest, Tag, TagSpecification, TargetCapacitySpecificationRequest, VolumeType,
};
use runnerless_core::fleet::{FleetRequest, Market, Pool, ROOT_DEVICE};

/// What is tagged at its birth: the instance, and what comes and goes with it.
const TAGGED: [ResourceType; 4] =
    [ResourceType::Fleet, ResourceType::Instance, ResourceType::Volume, ResourceType::NetworkInterface];

/// The call that sends it.
pub(super) fn of(client: &Client, request: &FleetRequest) -> CreateFleetFluentBuilder {
    let template = FleetLaunchTemplateConfigRequest::builder()
        .launch_template_specification(template(&request.launch_template))
        .set_overrides(Some(request.pools.iter().map(|pool| pool_of(pool, request.disk_gb)).collect()));
    let call = client
        .create_fleet()
        .r#type(FleetType::Instant)
        .client_token(&request.token)
        .launch_template_configs(template.build())
        .target_capacity_specification(one(request.market))
        .set_tag_specifications(Some(tags(request)));
    match request.market {
        Market::Spot => {
            let strategy = SpotAllocationStrategy::PriceCapacityOptimized;
            call.spot_options(SpotOptionsRequest::builder().allocation_strategy(strategy).build())
        }
        Market::OnDemand => {
            let strategy = FleetOnDemandAllocationStrategy::LowestPrice;
            call.on_demand_options(OnDemandOptionsRequest::builder().allocation_strategy(strategy).build())
        }
    }
}

/// EC2 takes an id or a name, and wants a version in any case.
fn template(template: &str) -> FleetLaunchTemplateSpecificationRequest {
    let (template, version) = template.split_once(':').unwrap_or((template, "$Latest"));
    let specification = FleetLaunchTemplateSpecificationRequest::builder().version(version);
    match template.starts_with("lt-") {
        true => specification.launch_template_id(template).build(),
        false => specification.launch_template_name(template).build(),
    }
}

fn pool_of(pool: &Pool, disk_gb: Option<u64>) -> FleetLaunchTemplateOverridesRequest {
    let disk = disk_gb.map(|size| vec![disk(i32::try_from(size).unwrap_or(i32::MAX))]);
    FleetLaunchTemplateOverridesRequest::builder()
        .instance_type(InstanceType::from(pool.instance_type.as_str()))
        .subnet_id(&pool.subnet)
        .set_block_device_mappings(disk)
        .build()
}

/// The root volume as the launch template has it, but of this size (GiB): an override replaces the template's whole entry.
fn disk(size: i32) -> FleetBlockDeviceMappingRequest {
    let volume = FleetEbsBlockDeviceRequest::builder()
        .encrypted(true)
        .delete_on_termination(true)
        .volume_type(VolumeType::Gp3)
        .volume_size(size);
    FleetBlockDeviceMappingRequest::builder().device_name(ROOT_DEVICE).ebs(volume.build()).build()
}

fn one(market: Market) -> TargetCapacitySpecificationRequest {
    let market = match market {
        Market::Spot => DefaultTargetCapacityType::Spot,
        Market::OnDemand => DefaultTargetCapacityType::OnDemand,
    };
    TargetCapacitySpecificationRequest::builder().total_target_capacity(1).default_target_capacity_type(market).build()
}

fn tags(request: &FleetRequest) -> Vec<TagSpecification> {
    let tags = request.tags.iter().map(|(name, value)| Tag::builder().key(name).value(value).build());
    let tags: Vec<_> = tags.collect();
    let tagged = |kind| TagSpecification::builder().resource_type(kind).set_tags(Some(tags.clone())).build();
    TAGGED.into_iter().map(tagged).collect()
}
