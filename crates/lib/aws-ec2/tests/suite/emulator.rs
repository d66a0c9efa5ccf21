//! A launch template on the emulator.

use aws_sdk_ec2::types::{LaunchTemplateIamInstanceProfileSpecificationRequest, RequestLaunchTemplateData};
use runnerless_aws::{Credentials, Place, client};
use runnerless_local::aws::ACCOUNT;

use super::Where;

/// Makes what instances are launched from.
pub async fn prepare(place: &Place, credentials: &Credentials) -> Where {
    let client = client!(aws_sdk_ec2, place, credentials);
    let profile = format!("arn:aws:iam::{ACCOUNT}:instance-profile/runner");
    let profile = LaunchTemplateIamInstanceProfileSpecificationRequest::builder().arn(profile).build();
    let data = RequestLaunchTemplateData::builder().image_id("ami-0123456789abcdef0").iam_instance_profile(profile);
    let create = client.create_launch_template().launch_template_name("runner").launch_template_data(data.build());
    let template = create.send().await.unwrap().launch_template.unwrap();
    let subnets = client.describe_subnets().send().await.unwrap().subnets.unwrap();
    let mut subnets = subnets.into_iter().map(|subnet| subnet.subnet_id.unwrap());
    Where {
        template: format!("{}:{}", template.launch_template_id.unwrap(), template.latest_version_number.unwrap()),
        subnets: [subnets.next().unwrap(), subnets.next().unwrap()],
    }
}
