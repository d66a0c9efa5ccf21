//! Mapping, parameters, bus and invoke in memory.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use runnerless_core::change::Item;
use runnerless_core::lane::Lane;
use runnerless_core::route::{BadMapRow, MapRow, Matcher, base_name};
use serde_json::Value;
use zeroize::Zeroizing;

use crate::error::{AwsError, Service};
use crate::ports::{Announcement, Bus, Invoked, Invoker, Mapping, Parameters};

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn failed(service: Service, operation: &'static str) -> AwsError {
    AwsError::Unavailable { service, operation, source: "the test said so".into() }
}

/// Mapping rows in memory.
#[derive(Debug, Default)]
pub struct FakeMapping {
    items: Mutex<Vec<Item>>,
    failing: Mutex<bool>,
}

impl FakeMapping {
    /// Adds a row as it is, also one that cannot be read.
    pub fn put(&self, item: Value) {
        if let Value::Object(item) = item {
            locked(&self.items).push(item);
        }
    }

    /// From now on every call fails, or no call does.
    pub fn fail(&self, failing: bool) {
        *locked(&self.failing) = failing;
    }

    fn read(&self) -> Result<Vec<Result<MapRow, BadMapRow>>, AwsError> {
        if *locked(&self.failing) {
            return Err(failed(Service::Mapping, "Query"));
        }
        Ok(locked(&self.items).iter().map(MapRow::from_item).collect())
    }
}

impl Mapping for FakeMapping {
    async fn rows(&self, job_name: &str) -> Result<Vec<Result<MapRow, BadMapRow>>, AwsError> {
        let in_partition = |row: &Result<MapRow, BadMapRow>| match row {
            Ok(row) => match &row.matcher {
                Matcher::Name(name) => name == job_name || name == base_name(job_name),
                Matcher::Pattern(_) => true,
            },
            Err(bad) => bad.row.starts_with(&format!("job#{job_name} ")) || bad.row.starts_with("pattern "),
        };
        Ok(self.read()?.into_iter().filter(in_partition).collect())
    }

    async fn lanes(&self) -> Result<Vec<Lane>, AwsError> {
        Ok(self.read()?.into_iter().flatten().map(|row| row.lane()).collect())
    }
}

/// Parameters in memory.
#[derive(Debug, Default)]
pub struct FakeParameters {
    values: Mutex<HashMap<String, String>>,
    reads: Mutex<u32>,
    failing: Mutex<bool>,
}

impl FakeParameters {
    /// Writes a value under its whole name.
    pub fn put(&self, name: &str, value: &str) {
        locked(&self.values).insert(name.to_owned(), value.to_owned());
    }

    /// How often a path was read, in vain or not.
    #[must_use]
    pub fn reads(&self) -> u32 {
        *locked(&self.reads)
    }

    /// From now on every call fails, or no call does.
    pub fn fail(&self, failing: bool) {
        *locked(&self.failing) = failing;
    }
}

impl Parameters for FakeParameters {
    async fn below(&self, path: &str) -> Result<HashMap<String, Zeroizing<String>>, AwsError> {
        *locked(&self.reads) += 1;
        if *locked(&self.failing) {
            return Err(failed(Service::Parameters, "GetParametersByPath"));
        }
        let prefix = format!("{}/", path.trim_end_matches('/'));
        let below = |(name, value): (&String, &String)| {
            Some((name.strip_prefix(&prefix)?.to_owned(), Zeroizing::new(value.clone())))
        };
        Ok(locked(&self.values).iter().filter_map(below).collect())
    }
}

/// A bus that remembers.
#[derive(Debug, Default)]
pub struct FakeBus {
    announced: Mutex<Vec<Announcement>>,
    failing: Mutex<bool>,
}

impl FakeBus {
    /// What was announced, in order.
    #[must_use]
    pub fn announced(&self) -> Vec<Announcement> {
        locked(&self.announced).clone()
    }

    /// From now on every call fails, or no call does.
    pub fn fail(&self, failing: bool) {
        *locked(&self.failing) = failing;
    }
}

impl Bus for FakeBus {
    async fn announce(&self, announcement: Announcement) -> Result<(), AwsError> {
        if *locked(&self.failing) {
            return Err(failed(Service::Bus, "PutEvents"));
        }
        locked(&self.announced).push(announcement);
        Ok(())
    }
}

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

/// Functions that only queue.
#[derive(Debug, Default)]
pub struct FakeInvoker {
    started: Mutex<Vec<Started>>,
    answers: Mutex<Vec<Result<Invoked, AwsError>>>,
}

impl FakeInvoker {
    /// What was queued, in order.
    #[must_use]
    pub fn started(&self) -> Vec<Started> {
        locked(&self.started).clone()
    }

    /// The next call gets this answer instead of being queued.
    pub fn answer(&self, answer: Result<Invoked, AwsError>) {
        locked(&self.answers).push(answer);
    }
}

impl Invoker for FakeInvoker {
    async fn start(&self, function: &str, payload: &str, tenant: Option<&str>) -> Result<Invoked, AwsError> {
        if let Some(answer) = locked(&self.answers).pop() {
            return answer;
        }
        let started =
            Started { function: function.to_owned(), payload: payload.to_owned(), tenant: tenant.map(str::to_owned) };
        locked(&self.started).push(started);
        Ok(Invoked::Accepted)
    }
}
