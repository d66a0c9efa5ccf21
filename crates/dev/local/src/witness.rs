//! The witness's control interface, for the suites that put faults on calls.

use std::time::Duration;

use hyper::Method;
use serde_json::Value;

use crate::http::{Http, HttpError};

/// How long a call may take.
const LIMIT: Duration = Duration::from_secs(60);

/// A client of a running witness.
#[derive(Clone, Debug)]
pub(crate) struct Witness {
    url: String,
    http: Http,
}

impl Witness {
    /// Of the witness at this address.
    pub(crate) fn new(endpoint: &str) -> Self {
        Self { url: format!("{endpoint}/_proxy/faults"), http: Http::default() }
    }

    /// Sets a fault, see [`crate::proxy::faults`].
    ///
    /// # Errors
    /// When the witness refuses it or does not answer.
    pub(crate) async fn set(&self, fault: &Value) -> Result<(), HttpError> {
        self.call(Method::POST, fault).await.map(drop)
    }

    /// All faults that were set, with what became of them.
    ///
    /// # Errors
    /// When the witness does not answer.
    pub(crate) async fn faults(&self) -> Result<Vec<Value>, HttpError> {
        let faults = self.call(Method::GET, &Value::Null).await?;
        Ok(faults.as_array().cloned().unwrap_or_default())
    }

    /// Forgets all faults.
    ///
    /// # Errors
    /// When the witness does not answer.
    pub(crate) async fn clear(&self) -> Result<(), HttpError> {
        self.call(Method::DELETE, &Value::Null).await.map(drop)
    }

    async fn call(&self, method: Method, body: &Value) -> Result<Value, HttpError> {
        self.http.json(method, &self.url, &[], body, LIMIT).await
    }
}
