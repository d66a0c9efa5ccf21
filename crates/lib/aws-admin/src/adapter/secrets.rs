//! Secrets in Parameter Store. They are encrypted with the account's own key `aws/ssm`, as the template expects.

use aws_sdk_ssm::Client;
use aws_sdk_ssm::operation::get_parameter::GetParameterError;
use aws_sdk_ssm::types::{ParameterStringFilter, ParameterType};
use runnerless_aws::{Credentials, Place};
use zeroize::Zeroizing;

use super::failure::Operation;
use crate::ports::{RemoteError, SecretStore};

const GET: Operation = Operation::new("GetParameter", "ssm:GetParameter");
const DESCRIBE: Operation = Operation::new("DescribeParameters", "ssm:DescribeParameters");
/// The most that one page of it holds.
const PAGE: i32 = 50;
const PUT: Operation = Operation::new("PutParameter", "ssm:PutParameter");

/// Parameter Store.
#[derive(Clone, Debug)]
pub struct SecretParameters {
    client: Client,
}

impl SecretParameters {
    /// The account's.
    #[must_use]
    pub fn new(place: &Place, credentials: &Credentials) -> Self {
        Self { client: runnerless_aws::client!(aws_sdk_ssm, place, credentials) }
    }
}

impl SecretStore for SecretParameters {
    async fn get(&self, name: &str) -> Result<Option<Zeroizing<String>>, RemoteError> {
        match self.client.get_parameter().name(name).with_decryption(true).send().await {
            Ok(answer) => Ok(answer.parameter.and_then(|parameter| parameter.value).map(Zeroizing::new)),
            Err(error) if matches!(error.as_service_error(), Some(GetParameterError::ParameterNotFound(_))) => Ok(None),
            Err(error) => Err(GET.failure(error)),
        }
    }

    async fn names_below(&self, path: &str) -> Result<Vec<String>, RemoteError> {
        let path = format!("/{}", path.trim_matches('/'));
        let below = ParameterStringFilter::builder().key("Path").option("Recursive").values(path).build();
        let below = below.map_err(|error| DESCRIBE.unusable(error))?;
        let (mut names, mut next) = (Vec::new(), None);
        loop {
            let call = self.client.describe_parameters().parameter_filters(below.clone()).max_results(PAGE);
            let answer = call.set_next_token(next).send().await.map_err(|error| DESCRIBE.failure(error))?;
            names.extend(answer.parameters.unwrap_or_default().into_iter().filter_map(|parameter| parameter.name));
            next = answer.next_token;
            if next.is_none() {
                names.sort();
                return Ok(names);
            }
        }
    }

    async fn put(&self, name: &str, value: &Zeroizing<String>) -> Result<(), RemoteError> {
        let call = self
            .client
            .put_parameter()
            .name(name)
            .value(value.as_str())
            .r#type(ParameterType::SecureString)
            .overwrite(true);
        call.send().await.map(|_| ()).map_err(|error| PUT.failure(error))
    }
}
