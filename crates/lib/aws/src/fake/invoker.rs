//! Lambda's invoke in memory.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;

use serde_json::Value;

use super::{locked, refused};
use crate::error::{AwsError, Service};
use crate::ports::{Invoked, Invoker};

/// The longest event of an asynchronous invocation (bytes).
const PAYLOAD: usize = 1024 * 1024;
/// The longest tenant id (characters).
const TENANT: usize = 256;

/// One invocation that was queued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Started {
    /// The function.
    pub function: String,
    /// What it gets.
    pub payload: String,
    /// The tenant.
    pub tenant: Option<String>,
}

/// Functions that only queue. It knows none until it is told of them.
#[derive(Debug, Default)]
pub struct FakeInvoker {
    /// Whether each isolates tenants, by ARN.
    functions: Mutex<BTreeMap<String, bool>>,
    started: Mutex<Vec<Started>>,
    answers: Mutex<VecDeque<Result<Invoked, AwsError>>>,
}

impl FakeInvoker {
    /// There is a function of this ARN, which isolates tenants or does not.
    pub fn deploy(&self, function: &str, isolates_tenants: bool) {
        locked(&self.functions).insert(function.to_owned(), isolates_tenants);
    }

    /// What was queued, in order.
    #[must_use]
    pub fn started(&self) -> Vec<Started> {
        locked(&self.started).clone()
    }

    /// The next call gets this answer instead of being queued; several, the next calls in turn.
    pub fn answer(&self, answer: Result<Invoked, AwsError>) {
        locked(&self.answers).push_back(answer);
    }

    /// Why Lambda takes no such invocation.
    fn objection(&self, function: &str, payload: &str, tenant: Option<&str>) -> Option<&'static str> {
        let Some(isolates_tenants) = locked(&self.functions).get(function).copied() else {
            return Some("ResourceNotFoundException");
        };
        match tenant {
            None if isolates_tenants => return Some("InvalidParameterValueException: the function isolates tenants"),
            Some(_) if !isolates_tenants => return Some("InvalidParameterValueException: it isolates no tenants"),
            Some(tenant) if !is_tenant(tenant) => return Some("InvalidParameterValueException: this is no tenant id"),
            _ => {}
        }
        if payload.len() > PAYLOAD {
            return Some("RequestTooLargeException");
        }
        serde_json::from_str::<Value>(payload).err().map(|_| "InvalidRequestContentException")
    }
}

fn is_tenant(text: &str) -> bool {
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || "._:/=+-@ ".contains(letter);
    (1..=TENANT).contains(&text.len()) && text.chars().all(allowed)
}

impl Invoker for FakeInvoker {
    async fn start(&self, function: &str, payload: &str, tenant: Option<&str>) -> Result<Invoked, AwsError> {
        if let Some(answer) = locked(&self.answers).pop_front() {
            return answer;
        }
        if let Some(why) = self.objection(function, payload, tenant) {
            return Err(refused(Service::Invoke, "Invoke", why));
        }
        let started =
            Started { function: function.to_owned(), payload: payload.to_owned(), tenant: tenant.map(str::to_owned) };
        locked(&self.started).push(started);
        Ok(Invoked::Accepted)
    }
}
