//! What a function is handed, and what it answers.

use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use serde_json::Value;

/// One event with what Lambda says beside it.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// AWS's id of the invocation, `Lambda-Runtime-Aws-Request-Id`. A UUID on AWS; any header text here.
    pub request_id: String,
    /// The event: the body, byte for byte.
    pub event: Bytes,
    /// When Lambda would end the call, `Lambda-Runtime-Deadline-Ms`. Nobody enforces it here.
    pub deadline: SystemTime,
    /// The tenant, `Lambda-Runtime-Aws-Tenant-Id`, for functions that isolate tenants.
    pub tenant: Option<String>,
}

impl Invocation {
    /// An event with `limit` from now on, without a tenant.
    #[must_use]
    pub fn new(request_id: impl Into<String>, event: &Value, limit: Duration) -> Self {
        let event = Bytes::from(event.to_string());
        Self { request_id: request_id.into(), event, deadline: SystemTime::now() + limit, tenant: None }
    }
}

/// An error by which a call ended, as it reached `/runtime/invocation/<id>/error`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The header `Lambda-Runtime-Function-Error-Type`; runtimes may leave it out.
    pub error_type: Option<String>,
    /// The body: an object with `errorType` and `errorMessage`.
    pub body: Bytes,
}

/// What the function answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A result: the body of `/runtime/invocation/<id>/response`.
    Response(Bytes),
    /// An error.
    Failure(Failure),
}

/// The answer to one event.
#[derive(Clone, Debug)]
pub struct Answer {
    /// What it says.
    pub outcome: Outcome,
    /// When the event was handed.
    pub handed: Instant,
    /// When the last byte of the answer was here.
    pub answered: Instant,
}

impl Answer {
    /// How long the function had the event.
    #[must_use]
    pub fn took(&self) -> Duration {
        self.answered.duration_since(self.handed)
    }

    /// The result as JSON; none for an error and for what is no JSON.
    #[must_use]
    pub fn json(&self) -> Option<Value> {
        match &self.outcome {
            Outcome::Response(body) => serde_json::from_slice(body).ok(),
            Outcome::Failure(_) => None,
        }
    }
}
