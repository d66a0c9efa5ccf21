//! EC2.

mod request;
mod shown;

use std::time::Duration;

use aws_sdk_ec2::Client;
use aws_sdk_ec2::config::Builder;
use aws_sdk_ec2::error::ProvideErrorMetadata as _;
use aws_sdk_ec2::operation::create_fleet::CreateFleetOutput;
use aws_sdk_ec2::types::{Filter, InstanceMetadataEndpointState};
use aws_smithy_runtime_api::client::result::SdkError;
use runnerless_aws::{AwsError, Credentials, Place, Service, failure};
use runnerless_core::fleet::{
    FaultKind, FleetAnswer, FleetFault, FleetOutcome, FleetRequest, Instance, InstanceState, LAUNCH_TAG, STACK_TAG,
};
use runnerless_core::id::LaunchId;

use crate::calls::{self, PAGE, timeouts};
use crate::port::{Fleet, Terminated};

/// One attempt of a launch. EC2 answers an instant fleet when the instance exists: seconds, and more with many pools.
const LAUNCH_ATTEMPT: Duration = Duration::from_secs(20);
/// All attempts of a launch together.
const LAUNCH: Duration = Duration::from_secs(40);
/// A fault's message is cut here (characters): a refused right carries a kilobyte that only AWS can read.
const MESSAGE: usize = 300;
/// The code for a token that EC2 had with another request.
const MISMATCH: &str = "IdempotentParameterMismatch";
/// The code for an instance that EC2 does not know.
const NOT_FOUND: &str = "InvalidInstanceID.NotFound";

/// EC2.
#[derive(Clone, Debug)]
pub struct Ec2Fleet {
    client: Client,
}

impl Ec2Fleet {
    /// The account's.
    #[must_use]
    pub fn new(place: &Place, credentials: &Credentials) -> Self {
        Self { client: calls::ec2(place, credentials) }
    }

    /// Every instance that these filters leave.
    async fn shown(&self, filters: Vec<Filter>) -> Result<Vec<Instance>, AwsError> {
        let mut instances = Vec::new();
        let mut from = None;
        loop {
            let call = self.client.describe_instances().set_filters(Some(filters.clone())).max_results(PAGE);
            let answer = call.set_next_token(from).send().await;
            let answer = answer.map_err(|error| failure(Service::Fleet, "DescribeInstances", error))?;
            for instance in answer.reservations().iter().flat_map(|reservation| reservation.instances()) {
                instances.push(shown::instance(instance)?);
            }
            from = answer.next_token.filter(|token| !token.is_empty());
            if from.is_none() {
                return Ok(instances);
            }
        }
    }
}

impl Fleet for Ec2Fleet {
    async fn launch(&self, request: &FleetRequest) -> Result<FleetOutcome, AwsError> {
        let patience = Builder::new().timeout_config(timeouts(LAUNCH_ATTEMPT, LAUNCH));
        let call = request::of(&self.client, request).customize().config_override(patience);
        let error = match call.send().await {
            Ok(answer) => return Ok(FleetOutcome::Answer(read(&answer))),
            Err(error) => error,
        };
        let code = error.code().unwrap_or_default();
        if !matches!(error, SdkError::ServiceError(_)) {
            return Err(failure(Service::Fleet, "CreateFleet", error));
        }
        if code == MISMATCH {
            return Ok(FleetOutcome::Mismatch);
        }
        match fault(code, error.message()) {
            FleetFault { kind: FaultKind::Other, .. } => Err(failure(Service::Fleet, "CreateFleet", error)),
            fault => Ok(FleetOutcome::Answer(FleetAnswer { instances: Vec::new(), faults: vec![fault] })),
        }
    }

    async fn of_launch(&self, launch: &LaunchId) -> Result<Vec<Instance>, AwsError> {
        self.shown(vec![filter(&format!("tag:{LAUNCH_TAG}"), [launch.as_str()])]).await
    }

    async fn describe(&self, instance: &str) -> Result<Option<Instance>, AwsError> {
        let answer = match self.client.describe_instances().instance_ids(instance).send().await {
            Ok(answer) => answer,
            Err(error) if error.code() == Some(NOT_FOUND) => return Ok(None),
            Err(error) => return Err(failure(Service::Fleet, "DescribeInstances", error)),
        };
        answer.reservations().iter().flat_map(|one| one.instances()).next().map(shown::instance).transpose()
    }

    async fn list(&self, stack: &str) -> Result<Vec<Instance>, AwsError> {
        let listed = InstanceState::ALL.into_iter().filter(|state| *state != InstanceState::Terminated);
        let filters = vec![
            filter(&format!("tag:{STACK_TAG}"), [stack]),
            filter("instance-state-name", listed.map(InstanceState::name)),
        ];
        self.shown(filters).await
    }

    async fn terminate(&self, instance: &str) -> Result<Terminated, AwsError> {
        match self.client.terminate_instances().instance_ids(instance).send().await {
            Ok(_) => Ok(Terminated::Asked),
            Err(error) if error.code() == Some(NOT_FOUND) => Ok(Terminated::Gone),
            Err(error) => Err(failure(Service::Fleet, "TerminateInstances", error)),
        }
    }

    async fn hide_metadata(&self, instance: &str) -> Result<(), AwsError> {
        let call = self.client.modify_instance_metadata_options().instance_id(instance);
        let call = call.http_endpoint(InstanceMetadataEndpointState::Disabled);
        let answer = call.send().await;
        answer.map(|_| ()).map_err(|error| failure(Service::Fleet, "ModifyInstanceMetadataOptions", error))
    }
}

/// EC2 takes the letters `*` and `?` of a value as wildcards; ids and stack names have neither.
fn filter<'a>(name: &str, values: impl IntoIterator<Item = &'a str>) -> Filter {
    Filter::builder().name(name).set_values(Some(values.into_iter().map(str::to_owned).collect())).build()
}

fn read(answer: &CreateFleetOutput) -> FleetAnswer {
    let faults =
        answer.errors().iter().map(|error| fault(error.error_code().unwrap_or_default(), error.error_message()));
    let instances = answer.instances().iter().flat_map(|instances| instances.instance_ids()).cloned();
    FleetAnswer { instances: instances.collect(), faults: faults.collect() }
}

fn fault(code: &str, message: Option<&str>) -> FleetFault {
    FleetFault::new(code, message.unwrap_or_default().chars().take(MESSAGE).collect::<String>())
}
