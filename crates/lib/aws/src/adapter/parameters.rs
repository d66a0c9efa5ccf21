//! Parameter Store.

use std::collections::HashMap;

use aws_sdk_ssm::Client;
use zeroize::Zeroizing;

use super::failure::failure;
use crate::error::{AwsError, Service};
use crate::place::{Credentials, Place};
use crate::ports::Parameters;

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
