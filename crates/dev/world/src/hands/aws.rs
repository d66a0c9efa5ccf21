//! Mapping, parameters, bus and Lambda's invoke.

use std::collections::HashMap;

use runnerless_aws::ports::{Announcement, Bus, Invoked, Invoker, Mapping, Parameters, Stored, TokenStore};
use runnerless_aws::{AwsError, Service};
use runnerless_core::limits;
use runnerless_core::route::{BadMapRow, LaneEntry, MapRow};
use runnerless_core::time::Millis;
use serde_json::Value;
use zeroize::Zeroizing;

use super::{Call, Hands, at_once};
use crate::event::{Event, Invocation};
use crate::fault::Fault;
use crate::functions::lambda;
use crate::world::Parameter;

impl Mapping for Hands<'_> {
    async fn rows(&self, partition: &str) -> Result<Vec<Result<MapRow, BadMapRow>>, AwsError> {
        self.call(mapping(), || at_once(self.world.mapping.rows(partition))).await
    }

    async fn lanes(&self) -> Result<Vec<Result<LaneEntry, BadMapRow>>, AwsError> {
        self.call(mapping(), || at_once(self.world.mapping.lanes())).await
    }
}

fn mapping() -> Call {
    Call {
        service: Service::Mapping,
        operation: "Query",
        throttled: None,
        failed: Some(Fault::MappingFailed),
        answer_lost: None,
        slow: None,
    }
}

impl Parameters for Hands<'_> {
    async fn below(&self, path: &str) -> Result<HashMap<String, Zeroizing<String>>, AwsError> {
        let call = Call {
            service: Service::Parameters,
            operation: "GetParametersByPath",
            throttled: Some(Fault::ParametersThrottled),
            failed: None,
            answer_lost: None,
            slow: None,
        };
        let effect = || {
            let prefix = format!("{}/", path.trim_end_matches('/'));
            let (now, parameters) = (self.world.now(), self.world.state().parameters.clone());
            let below = parameters.range(prefix.clone()..).take_while(|(name, _)| name.starts_with(&prefix));
            let read = |(name, parameter): (&String, &Parameter)| {
                let old = parameter.old.as_ref().filter(|(_, until)| *until > now);
                let old = old.filter(|_| self.strikes(Fault::ParametersOld));
                if old.is_some() {
                    self.world.reads_old(name);
                }
                let value = old.map_or(&parameter.value, |(value, _)| value);
                (name[prefix.len()..].to_owned(), Zeroizing::new(value.clone()))
            };
            Ok(below.map(read).collect())
        };
        self.call(call, effect).await
    }
}

/// How long the bus takes to deliver (ms).
const DELIVERY: std::ops::Range<i64> = 30..400;
/// How long it takes when the target does not take it at once (ms); it gives up after five minutes.
const LATE_DELIVERY: std::ops::Range<i64> = 5_000..300_000;

impl Bus for Hands<'_> {
    async fn announce(&self, announcement: Announcement) -> Result<(), AwsError> {
        let call = Call {
            service: Service::Bus,
            operation: "PutEvents",
            throttled: None,
            failed: Some(Fault::BusRefused),
            answer_lost: Some(Fault::BusAnswerLost),
            slow: None,
        };
        let effect = || {
            self.world.state().check.announced(announcement.job);
            if !self.strikes(Fault::EventLost) {
                self.deliver(announcement.clone());
                if self.strikes(Fault::EventDoubled) {
                    self.deliver(announcement.clone());
                }
            }
            Ok(())
        };
        self.call(call, effect).await
    }
}

impl Hands<'_> {
    fn deliver(&self, announcement: Announcement) {
        let length = if self.strikes(Fault::EventLate) { LATE_DELIVERY } else { DELIVERY };
        let length = self.draw(|rng| Millis(rng.i64(length)));
        self.world.timeline.happens_in(length, Event::Announced(announcement));
    }

    fn queue(&self, invocation: Invocation) {
        let world = self.world;
        if self.strikes(Fault::InvocationDropped) {
            let record = lambda::never_ran(&invocation);
            world.timeline.happens_in(limits::EVENT_AGE, Event::Record(record));
            return;
        }
        let length = if self.strikes(Fault::InvocationLate) { QUEUED } else { COLD_START };
        let length = self.draw(|rng| Millis(rng.i64(length)));
        if self.strikes(Fault::InvocationDoubled) {
            let second = self.draw(|rng| Millis(rng.i64(QUEUED)));
            world.timeline.happens_in(second, Event::Invocation(Invocation { again: true, ..invocation.clone() }));
        }
        world.timeline.happens_in(length, Event::Invocation(invocation));
    }
}

/// How long a new execution environment takes (ms).
const COLD_START: std::ops::Range<i64> = 60..1_200;
/// How long an invocation may wait in Lambda's queue (ms).
const QUEUED: std::ops::Range<i64> = 1_000..limits::EVENT_AGE.0;

impl Invoker for Hands<'_> {
    async fn start(&self, function: &str, payload: &str, tenant: Option<&str>) -> Result<Invoked, AwsError> {
        let call = Call {
            service: Service::Invoke,
            operation: "Invoke",
            throttled: None,
            failed: Some(Fault::InvokeFailed),
            answer_lost: Some(Fault::InvokeAnswerLost),
            slow: None,
        };
        let effect = || {
            if self.strikes(Fault::InvokeThrottled) {
                return Ok(Invoked::Throttled);
            }
            let payload: Value = serde_json::from_str(payload).unwrap_or_default();
            let launch = payload.get("launch").and_then(Value::as_str).unwrap_or_default();
            self.world.note(format_args!("{self} invokes for {launch}"));
            self.world.state().check.invoked(launch);
            let (function, tenant) = (function.to_owned(), tenant.map(str::to_owned));
            self.queue(Invocation { function, payload, tenant, again: false });
            Ok(Invoked::Accepted)
        };
        self.call(call, effect).await
    }
}

/// Every lane of the world has a token: nobody stores one.
impl TokenStore for Hands<'_> {
    async fn add(&self, name: &str, _: &Zeroizing<String>) -> Result<Stored, AwsError> {
        Err(refused("PutParameter", name))
    }

    async fn remove(&self, name: &str) -> Result<(), AwsError> {
        Err(refused("DeleteParameter", name))
    }
}

fn refused(operation: &'static str, name: &str) -> AwsError {
    AwsError::Refused { service: Service::Parameters, operation, source: format!("{name} is nobody's to write").into() }
}
