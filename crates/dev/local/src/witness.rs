//! The witness's control interface, for the suites that put faults on calls.

use std::time::Duration;

use hyper::Method;
use serde_json::{Value, json};

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
        Self { url: format!("{endpoint}/_proxy"), http: Http::default() }
    }

    /// Sets a fault, see [`crate::proxy::faults`].
    ///
    /// # Errors
    /// When the witness refuses it or does not answer.
    pub(crate) async fn set(&self, fault: &Value) -> Result<(), HttpError> {
        self.call(Method::POST, "faults", fault).await.map(drop)
    }

    /// Watches what calls are about, see [`crate::proxy::kin`].
    ///
    /// # Errors
    /// When the witness does not answer.
    pub(crate) async fn watch(&self, name: &str, words: &[&str]) -> Result<(), HttpError> {
        self.call(Method::POST, "watch", &json!({"name": name, "words": words})).await.map(drop)
    }

    /// Warns of the end of a spot instance.
    ///
    /// # Errors
    /// When the witness does not answer.
    pub(crate) async fn interrupt(&self, instance: &str) -> Result<(), HttpError> {
        self.call(Method::POST, &format!("interrupt/{instance}"), &Value::Null).await.map(drop)
    }

    /// All faults that were set, with what became of them.
    ///
    /// # Errors
    /// When the witness does not answer.
    pub(crate) async fn faults(&self) -> Result<Vec<Value>, HttpError> {
        let faults = self.call(Method::GET, "faults", &Value::Null).await?;
        Ok(faults.as_array().cloned().unwrap_or_default())
    }

    /// Forgets all faults.
    ///
    /// # Errors
    /// When the witness does not answer.
    pub(crate) async fn clear(&self) -> Result<(), HttpError> {
        self.call(Method::DELETE, "faults", &Value::Null).await.map(drop)
    }

    /// Forgets the faults on calls about one thing.
    ///
    /// # Errors
    /// When the witness does not answer.
    pub(crate) async fn clear_about(&self, name: &str) -> Result<(), HttpError> {
        self.call(Method::DELETE, &format!("faults?about={name}"), &Value::Null).await.map(drop)
    }

    async fn call(&self, method: Method, path: &str, body: &Value) -> Result<Value, HttpError> {
        self.http.json(method, &format!("{}/{path}", self.url), &[], body, LIMIT).await
    }
}
