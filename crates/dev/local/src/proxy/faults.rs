//! Faults that are put on calls: on one, on several in a row, or on all until they are cleared; each call's is bounded.
//!
//! `{"op":"ec2:CreateFleet","nth":1,"do":"...","function":"..."}`: the nth matching call after it was set. `times` lets it
//! hit so many calls from that one on, `"lasting":true` all of them. `op` may be `<service>:*`. `function` narrows it to
//! the calls of one function, `about` to those about one thing that is watched (`super::kin`). What can be done:
//!
//! - `error:<code>`: answered with that error code, without being carried out; `error` alone is `InternalFailure`;
//! - `throttle`, `fail`: the error by which that service itself asks to slow down, or says that it failed;
//! - `reset`: carried out, and then the connection closes without an answer; `reset:before`: not carried out;
//! - `hang:<s>`: carried out, and the answer comes that many seconds late; `hang` alone: it never comes, until the
//!   caller leaves or [`HANG_LIMIT`] is over; `hang:before`: the same, and not carried out;
//! - `answer_twice`: carried out twice; the caller gets the second answer;
//! - `refuse_entry`: not carried out; answered with 200, and every entry of it has failed (`PutEvents`);
//! - `no_instances:<code>`: not carried out; answered with 200, no instance, and this error (`CreateFleet` of an instant
//!   fleet whose every pool is empty, for one);
//! - `expires:<s>`: carried out for instances whose hard end is that many seconds from now (`CreateFleet`).

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
    /// Answered with the service's own request to slow down.
    Throttle,
    /// Answered with the service's own word for a failure of its own.
    Fail,
    /// Carried out, no answer.
    Reset,
    /// Not carried out, no answer.
    ResetBefore,
    /// Carried out, and answered late or never.
    Hang(Option<Duration>),
    /// Not carried out, and never answered.
    HangBefore,
    /// Carried out twice.
    AnswerTwice,
    /// Answered with 200, and every entry has failed.
    RefuseEntry,
    /// Answered with 200, no instance, and an error.
    NoInstances(String),
    /// Carried out for instances with another hard end: so many seconds from now.
    Expires(u32),
}

/// A fault that cannot be set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadFault {
    /// It is not JSON, or a key is missing.
    #[error("the fault cannot be read: {0}; write {{\"op\":\"ec2:CreateFleet\",\"nth\":1,\"do\":\"error:Code\"}}")]
    Shape(String),
    /// `do` is unknown.
    #[error(
        "do is {0:?}; write error:<code>, throttle, fail, hang, hang:<seconds up to 900>, hang:before, reset, reset:before, answer_twice, refuse_entry, no_instances:<code> or expires:<seconds>"
    )]
    Deed(String),
    /// `op` is no operation.
    #[error("op is {0:?}; write <service>:<Operation> as in ec2:CreateFleet, or <service>:*")]
    Op(String),
    /// `nth` is 0.
    #[error("nth is 0; the first call is 1")]
    Nth,
    /// `times` is 0, or says something else than `lasting`.
    #[error(
        "times is {0}; write 1 or more, or \"lasting\":true without times for all calls until the faults are cleared"
    )]
    Times(u64),
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
            None if text == "throttle" => Ok(Self::Throttle),
            None if text == "fail" => Ok(Self::Fail),
            None if text == "reset" => Ok(Self::Reset),
            None if text == "hang" => Ok(Self::Hang(None)),
            None if text == "answer_twice" => Ok(Self::AnswerTwice),
            None if text == "refuse_entry" => Ok(Self::RefuseEntry),
            Some(("error", code)) if word(code) => Ok(Self::Error(code.into())),
            Some(("no_instances", code)) if word(code) => Ok(Self::NoInstances(code.into())),
            Some(("expires", seconds)) => seconds.parse().map(Self::Expires).map_err(|_| bad()),
            Some(("reset", "before")) => Ok(Self::ResetBefore),
            Some(("hang", "before")) => Ok(Self::HangBefore),
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
            Self::Throttle => f.write_str("throttle"),
            Self::Fail => f.write_str("fail"),
            Self::HangBefore => f.write_str("hang:before"),
            Self::Reset => f.write_str("reset"),
            Self::ResetBefore => f.write_str("reset:before"),
            Self::Hang(None) => f.write_str("hang"),
            Self::Hang(Some(late)) => write!(f, "hang:{}", late.as_secs_f64()),
            Self::AnswerTwice => f.write_str("answer_twice"),
            Self::RefuseEntry => f.write_str("refuse_entry"),
            Self::NoInstances(code) => write!(f, "no_instances:{code}"),
            Self::Expires(seconds) => write!(f, "expires:{seconds}"),
        }
    }
}

/// A fault as it is set and shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// The operation, or `<service>:*`.
    pub op: String,
    /// The first of the matching calls that is hit, from 1.
    #[serde(default = "one")]
    pub nth: u64,
    /// How many are hit from there on.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub times: u64,
    /// All from there on are hit, until the faults are cleared.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub lasting: bool,
    /// What is done.
    #[serde(rename = "do")]
    pub deed: String,
    /// Only calls of this function.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function: Option<String>,
    /// Only calls about this, and nothing else that is watched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// How many matching calls came so far; set by the proxy.
    #[serde(default, skip_deserializing)]
    pub seen: u64,
    /// How many of them were hit; set by the proxy.
    #[serde(default, skip_deserializing)]
    pub hits: u64,
    /// Whether it was done as often as it is to be; set by the proxy.
    #[serde(default, skip_deserializing)]
    pub done: bool,
}

const fn one() -> u64 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands the field over by reference")]
const fn is_one(times: &u64) -> bool {
    *times == 1
}

impl Fault {
    fn check(&self) -> Result<(), BadFault> {
        Deed::from_str(&self.deed)?;
        let (service, operation) = self.op.split_once(':').unwrap_or_default();
        if service.is_empty() || operation.is_empty() {
            return Err(BadFault::Op(self.op.clone()));
        }
        if self.nth == 0 {
            return Err(BadFault::Nth);
        }
        if self.times == 0 || (self.lasting && self.times != 1) { Err(BadFault::Times(self.times)) } else { Ok(()) }
    }

    fn is_for(&self, op: &str, function: Option<&str>, about: Option<&str>) -> bool {
        let named = match self.op.strip_suffix(":*") {
            Some(service) => op.split_once(':').is_some_and(|(of, _)| of == service),
            None => self.op == op,
        };
        named
            && self.function.as_deref().is_none_or(|name| Some(name) == function)
            && self.about.as_deref().is_none_or(|name| Some(name) == about)
    }

    /// Whether a call that it was counted for is hit by it.
    fn strikes(&mut self) -> bool {
        let strikes = self.seen >= self.nth;
        if strikes {
            self.hits += 1;
            self.done = !self.lasting && self.hits >= self.times;
        }
        strikes
    }
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
        fault.check()?;
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

    /// Forgets all, or those on calls about one thing.
    pub fn clear(&self, about: Option<&str>) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|fault| about.is_some() && fault.about.as_deref() != about);
    }

    /// Counts a call, and tells what is to be done to it.
    pub fn take(&self, call: &Call, function: Option<&str>, about: Option<&str>) -> Option<Deed> {
        let op = call.op();
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let mut deed = None;
        for fault in all.iter_mut().filter(|fault| !fault.done && fault.is_for(&op, function, about)) {
            fault.seen += 1;
            // Two faults may wait for the same call: the first that was set is done, the other waits for the next.
            if deed.is_none() && fault.strikes() {
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
        assert_eq!(faults.take(&call("ec2:CreateFleet"), None, None), None);
        assert_eq!(faults.take(&call("ec2:TerminateInstances"), None, None), None);
        let deed = Deed::Error("InsufficientInstanceCapacity".into());
        assert_eq!(faults.take(&call("ec2:CreateFleet"), None, None), Some(deed));
        assert_eq!(faults.take(&call("ec2:CreateFleet"), None, None), None);
        assert!(faults.list()[0].done);
    }

    #[test]
    fn a_fault_lasts_as_long_as_it_is_told() {
        let faults = Faults::default();
        let hit = |op: &str| faults.take(&call(op), None, None).is_some();
        faults.set(br#"{"op":"dynamodb:*","nth":2,"times":2,"do":"throttle"}"#).unwrap();
        let seen = ["dynamodb:GetItem", "dynamodb:PutItem", "ssm:PutParameter", "dynamodb:GetItem", "dynamodb:GetItem"];
        assert_eq!(seen.map(hit), [false, true, false, true, false], "two from the second on, of that service");
        faults.set(br#"{"op":"ssm:*","lasting":true,"do":"fail"}"#).unwrap();
        assert!((0..9).all(|_| hit("ssm:GetParametersByPath")));
        assert_eq!(
            faults.list().iter().map(|fault| (fault.hits, fault.done)).collect::<Vec<_>>(),
            [(2, true), (9, false)]
        );
        faults.clear(None);
        assert!(!hit("ssm:GetParametersByPath"));
    }

    #[test]
    fn a_fault_can_be_narrowed_to_one_function() {
        let faults = Faults::default();
        faults.set(br#"{"op":"lambda:Invoke","do":"hang:0.5","function":"router"}"#).unwrap();
        assert_eq!(faults.take(&call("lambda:Invoke"), Some("reconciler"), None), None);
        let late = Some(Duration::from_millis(500));
        assert_eq!(faults.take(&call("lambda:Invoke"), Some("router"), None), Some(Deed::Hang(late)));
    }

    #[test]
    fn a_fault_can_be_about_one_thing_and_be_lifted_alone() {
        let faults = Faults::default();
        for name in ["a", "b"] {
            let fault = format!(r#"{{"op":"ec2:*","lasting":true,"do":"fail","about":"{name}"}}"#);
            faults.set(fault.as_bytes()).unwrap();
        }
        let hit = |about: Option<&str>| faults.take(&call("ec2:CreateFleet"), None, about).is_some();
        assert_eq!([None, Some("c"), Some("a"), Some("b")].map(hit), [false, false, true, true]);
        faults.clear(Some("a"));
        assert_eq!([Some("a"), Some("b")].map(hit), [false, true]);
    }

    #[test]
    fn bad_faults_are_named_with_their_cure() {
        let faults = Faults::default();
        let refused = |body: &str| faults.set(body.as_bytes()).unwrap_err();
        for deed in
            ["hang:-1", "hang:901", "hang:x", "error:", "error:a b", "explode", "reset:after", "expires:", "expires:-1"]
        {
            let body = format!(r#"{{"op":"a:B","do":"{deed}"}}"#);
            assert_eq!(refused(&body), BadFault::Deed(deed.into()));
        }
        assert_eq!(refused(r#"{"op":"CreateFleet","do":"reset"}"#), BadFault::Op("CreateFleet".into()));
        assert_eq!(refused(r#"{"op":"a:B","nth":0,"do":"reset"}"#), BadFault::Nth);
        assert_eq!(refused(r#"{"op":"a:B","times":0,"do":"reset"}"#), BadFault::Times(0));
        assert_eq!(refused(r#"{"op":"a:B","times":3,"lasting":true,"do":"reset"}"#), BadFault::Times(3));
        assert!(matches!(refused(r#"{"op":"a:B"}"#), BadFault::Shape(_)));
        for _ in 0..MOST {
            faults.set(br#"{"op":"a:B","do":"reset"}"#).unwrap();
        }
        assert_eq!(refused(r#"{"op":"a:B","do":"reset"}"#), BadFault::TooMany);
        faults.clear(None);
        assert!(faults.list().is_empty());
    }
}
