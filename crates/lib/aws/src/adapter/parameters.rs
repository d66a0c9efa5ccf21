//! Parameter Store.

use std::collections::HashMap;

use aws_sdk_ssm::Client;
use aws_sdk_ssm::operation::delete_parameter::DeleteParameterError;
use aws_sdk_ssm::operation::get_parameter::GetParameterError;
use aws_sdk_ssm::operation::put_parameter::PutParameterError;
use aws_sdk_ssm::types::ParameterType;
use zeroize::Zeroizing;

use super::failure::failure;
use crate::error::{AwsError, Service};
use crate::place::{Credentials, Place};
use crate::ports::{Parameters, Stored, TokenStore};

/// Parameter Store.
#[derive(Clone, Debug)]
pub struct ParameterStore {
    client: Client,
}

impl ParameterStore {
    /// The account's.
    #[must_use]
    pub fn new(place: &Place, credentials: &Credentials) -> Self {
        Self { client: crate::client!(aws_sdk_ssm, place, credentials) }
    }

    /// One parameter by its whole name, decrypted; `None` where there is none. For who may read this one and no other.
    ///
    /// # Errors
    /// No answer, or a refusal.
    pub async fn one(&self, name: &str) -> Result<Option<Zeroizing<String>>, AwsError> {
        match self.client.get_parameter().name(name).with_decryption(true).send().await {
            Ok(answer) => Ok(answer.parameter.and_then(|parameter| parameter.value).map(Zeroizing::new)),
            Err(error) if matches!(error.as_service_error(), Some(GetParameterError::ParameterNotFound(_))) => Ok(None),
            Err(error) => Err(failure(Service::Parameters, "GetParameter", error)),
        }
    }
}

impl Parameters for ParameterStore {
    async fn below(&self, path: &str) -> Result<HashMap<String, Zeroizing<String>>, AwsError> {
        let mut values = HashMap::new();
        let mut from = None;
        let prefix = format!("{}/", path.trim_end_matches('/'));
        loop {
            let call = self
                .client
                .get_parameters_by_path()
                .path(path)
                .recursive(true)
                .with_decryption(true)
                .set_next_token(from);
            let answer =
                call.send().await.map_err(|error| failure(Service::Parameters, "GetParametersByPath", error))?;
            for parameter in answer.parameters.unwrap_or_default() {
                if let (Some(name), Some(value)) = (parameter.name, parameter.value)
                    && let Some(name) = name.strip_prefix(&prefix)
                {
                    values.insert(name.to_owned(), Zeroizing::new(value));
                }
            }
            from = answer.next_token.filter(|token| !token.is_empty());
            if from.is_none() {
                return Ok(values);
            }
        }
    }
}

impl TokenStore for ParameterStore {
    async fn add(&self, name: &str, value: &Zeroizing<String>) -> Result<Stored, AwsError> {
        let call = self.client.put_parameter().name(name).value(value.as_str()).overwrite(false);
        match call.r#type(ParameterType::SecureString).send().await {
            Ok(_) => Ok(Stored::New),
            Err(error) if matches!(error.as_service_error(), Some(PutParameterError::ParameterAlreadyExists(_))) => {
                Ok(Stored::There)
            }
            Err(error) => Err(failure(Service::Parameters, "PutParameter", error)),
        }
    }

    async fn remove(&self, name: &str) -> Result<(), AwsError> {
        match self.client.delete_parameter().name(name).send().await {
            Ok(_) => Ok(()),
            Err(error) if matches!(error.as_service_error(), Some(DeleteParameterError::ParameterNotFound(_))) => {
                Ok(())
            }
            Err(error) => Err(failure(Service::Parameters, "DeleteParameter", error)),
        }
    }
}
