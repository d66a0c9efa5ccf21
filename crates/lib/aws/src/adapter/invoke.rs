//! Lambda's invoke.

use aws_sdk_lambda::Client;
use aws_sdk_lambda::types::InvocationType;
use aws_smithy_types::Blob;

use super::failure::failure;
use crate::error::{AwsError, Service};
use crate::place::{Credentials, Place};
use crate::ports::{Invoked, Invoker};

/// Lambda.
#[derive(Clone, Debug)]
pub struct LambdaInvoker {
    client: Client,
}

impl LambdaInvoker {
    /// The account's.
    #[must_use]
    pub fn new(place: &Place, credentials: &Credentials) -> Self {
        Self { client: crate::client!(aws_sdk_lambda, place, credentials) }
    }
}

impl Invoker for LambdaInvoker {
    async fn start(&self, function: &str, payload: &str, tenant: Option<&str>) -> Result<Invoked, AwsError> {
        let call = self
            .client
            .invoke()
            .function_name(function)
            .invocation_type(InvocationType::Event)
            .payload(Blob::new(payload))
            .set_tenant_id(tenant.map(str::to_owned));
        match call.send().await.map_err(|error| failure(Service::Invoke, "Invoke", error)) {
            Ok(_) => Ok(Invoked::Accepted),
            Err(AwsError::Throttled { .. }) => Ok(Invoked::Throttled),
            Err(error) => Err(error),
        }
    }
}
