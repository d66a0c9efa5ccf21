//! Faults that are put on calls, each once and each bounded.
//!
//! `{"op":"ec2:CreateFleet","nth":1,"do":"...","function":"..."}`: the nth matching call after it was set. `function`
//! narrows it to the calls of one function. What can be done:
//!
//! - `error:<code>`: answered with that error code, without being carried out; `error` alone is `InternalFailure`;
//! - `reset`: carried out, and then the connection closes without an answer; `reset:before`: not carried out;
//! - `hang:<s>`: carried out, and the answer comes that many seconds late; `hang` alone: it never comes, until the
//!   caller leaves or [`HANG_LIMIT`] is over;
//! - `answer_twice`: carried out twice; the caller gets the second answer.

use std::fmt;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::operation::Call;

/// The most faults that wait at once.
const MOST: usize = 64;
/// The longest hang: the longest Lambda invocation.
pub const HANG_LIMIT: Duration = Duration::from_secs(900);

/// What is done to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Answered with an error.
    Error(String),
    /// Carried out, no answer.
    Reset,
    /// Not carried out, no answer.
    ResetBefore,
    /// Carried out, and answered late or never.
    Hang(Option<Duration>),
    /// Carried out twice.
    AnswerTwice,
}

/// A fault that cannot be set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadFault {
    /// It is not JSON, or a key is missing.
    #[error("the fault cannot be read: {0}; write {{\"op\":\"ec2:CreateFleet\",\"nth\":1,\"do\":\"error:Code\"}}")]
    Shape(String),
    /// `do` is unknown.
    #[error("do is {0:?}; write error:<code>, hang, hang:<seconds up to 900>, reset, reset:before or answer_twice")]
    Deed(String),
    /// `op` is no operation.
    #[error("op is {0:?}; write <service>:<Operation> as in ec2:CreateFleet")]
    Op(String),
    /// `nth` is 0.
    #[error("nth is 0; the first call is 1")]
    Nth,
    /// Too many wait.
    #[error("{MOST} faults wait already; DELETE /_proxy/faults first")]
    TooMany,
}

impl FromStr for Deed {
    type Err = BadFault;

    fn from_str(text: &str) -> Result<Self, BadFault> {
        let bad = || BadFault::Deed(text.to_owned());
        let word =
            |code: &str| !code.is_empty() && code.chars().all(|c| c.is_ascii_alphanumeric() || c == '.' || c == '_');
        match text.split_once(':') {
            None if text == "error" => Ok(Self::Error("InternalFailure".into())),
            None if text == "reset" => Ok(Self::Reset),
            None if text == "hang" => Ok(Self::Hang(None)),
            None if text == "answer_twice" => Ok(Self::AnswerTwice),
            Some(("error", code)) if word(code) => Ok(Self::Error(code.into())),
            Some(("reset", "before")) => Ok(Self::ResetBefore),
            Some(("hang", seconds)) => {
                let seconds: f64 = seconds.parse().map_err(|_| bad())?;
                let late = Duration::try_from_secs_f64(seconds).map_err(|_| bad())?;
                if late > HANG_LIMIT { Err(bad()) } else { Ok(Self::Hang(Some(late))) }
            }
            _ => Err(bad()),
        }
    }
}

impl fmt::Display for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Error(code) => write!(f, "error:{code}"),
            Self::Reset => f.write_str("reset"),
            Self::ResetBefore => f.write_str("reset:before"),
            Self::Hang(None) => f.write_str("hang"),
            Self::Hang(Some(late)) => write!(f, "hang:{}", late.as_secs_f64()),
            Self::AnswerTwice => f.write_str("answer_twice"),
        }
    }
}

/// A fault as it is set and shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// The operation.
    pub op: String,
    /// Which of the matching calls, from 1.
    #[serde(default = "first")]
    pub nth: u64,
    /// What is done.
    #[serde(rename = "do")]
    pub deed: String,
    /// Only calls of this function.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function: Option<String>,
    /// How many matching calls came so far; set by the proxy.
    #[serde(default, skip_deserializing)]
    pub seen: u64,
    /// Whether it was done; set by the proxy.
    #[serde(default, skip_deserializing)]
    pub done: bool,
}

const fn first() -> u64 {
    1
}

/// The faults.
#[derive(Debug, Default)]
pub struct Faults {
    all: Mutex<Vec<Fault>>,
}

impl Faults {
    /// Sets one from JSON.
    ///
    /// # Errors
    /// When it cannot be used; the message has the cure.
    pub fn set(&self, body: &[u8]) -> Result<Fault, BadFault> {
        let fault: Fault = serde_json::from_slice(body).map_err(|error| BadFault::Shape(error.to_string()))?;
        Deed::from_str(&fault.deed)?;
        let (service, operation) = fault.op.split_once(':').unwrap_or_default();
        if service.is_empty() || operation.is_empty() {
            return Err(BadFault::Op(fault.op));
        }
        if fault.nth == 0 {
            return Err(BadFault::Nth);
        }
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        if all.iter().filter(|fault| !fault.done).count() >= MOST {
            return Err(BadFault::TooMany);
        }
        all.push(fault.clone());
        Ok(fault)
    }

    /// All that were set, with what became of them.
    #[must_use]
    pub fn list(&self) -> Vec<Fault> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Forgets all.
    pub fn clear(&self) {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Counts a call, and tells what is to be done to it.
    pub fn take(&self, call: &Call, function: Option<&str>) -> Option<Deed> {
        let op = call.op();
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let mut deed = None;
        for fault in all.iter_mut().filter(|fault| !fault.done && fault.op == op) {
            if fault.function.as_deref().is_some_and(|name| Some(name) != function) {
                continue;
            }
            fault.seen += 1;
            // Two faults may wait for the same call: the first that was set is done, the other waits for the next.
            if fault.seen >= fault.nth && deed.is_none() {
                fault.done = true;
                deed = Deed::from_str(&fault.deed).ok();
            }
        }
        deed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(op: &str) -> Call {
        let (service, operation) = op.split_once(':').unwrap();
        Call { access_key: None, service: Some(service.into()), operation: operation.into() }
    }

    #[test]
    fn a_fault_hits_the_nth_matching_call_once() {
        let faults = Faults::default();
        faults.set(br#"{"op":"ec2:CreateFleet","nth":2,"do":"error:InsufficientInstanceCapacity"}"#).unwrap();
        assert_eq!(faults.take(&call("ec2:CreateFleet"), None), None);
        assert_eq!(faults.take(&call("ec2:TerminateInstances"), None), None);
        let deed = Deed::Error("InsufficientInstanceCapacity".into());
        assert_eq!(faults.take(&call("ec2:CreateFleet"), None), Some(deed));
        assert_eq!(faults.take(&call("ec2:CreateFleet"), None), None);
        assert!(faults.list()[0].done);
    }

    #[test]
    fn a_fault_can_be_narrowed_to_one_function() {
        let faults = Faults::default();
        faults.set(br#"{"op":"lambda:Invoke","do":"hang:0.5","function":"router"}"#).unwrap();
        assert_eq!(faults.take(&call("lambda:Invoke"), Some("reconciler")), None);
        let late = Some(Duration::from_millis(500));
        assert_eq!(faults.take(&call("lambda:Invoke"), Some("router")), Some(Deed::Hang(late)));
    }

    #[test]
    fn bad_faults_are_named_with_their_cure() {
        let faults = Faults::default();
        let refused = |body: &str| faults.set(body.as_bytes()).unwrap_err();
        for deed in ["hang:-1", "hang:901", "hang:x", "error:", "error:a b", "explode", "reset:after"] {
            let body = format!(r#"{{"op":"a:B","do":"{deed}"}}"#);
            assert_eq!(refused(&body), BadFault::Deed(deed.into()));
        }
        assert_eq!(refused(r#"{"op":"CreateFleet","do":"reset"}"#), BadFault::Op("CreateFleet".into()));
        assert_eq!(refused(r#"{"op":"a:B","nth":0,"do":"reset"}"#), BadFault::Nth);
        assert!(matches!(refused(r#"{"op":"a:B"}"#), BadFault::Shape(_)));
        for _ in 0..MOST {
            faults.set(br#"{"op":"a:B","do":"reset"}"#).unwrap();
        }
        assert_eq!(refused(r#"{"op":"a:B","do":"reset"}"#), BadFault::TooMany);
        faults.clear();
        assert!(faults.list().is_empty());
    }
}
