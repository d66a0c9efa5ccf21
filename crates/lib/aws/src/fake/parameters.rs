//! Parameter Store in memory.

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;

use zeroize::Zeroizing;

use super::{failed, locked};
use crate::error::{AwsError, Service};
use crate::ports::{Parameters, Stored, TokenStore};

/// Parameters in memory.
#[derive(Debug, Default)]
pub struct FakeParameters {
    values: Mutex<BTreeMap<String, String>>,
    reads: Mutex<u32>,
    failing: Mutex<bool>,
    read_only: Mutex<bool>,
}

impl FakeParameters {
    /// Writes a value under its whole name, over an older one.
    ///
    /// # Panics
    /// The name or the value is one that Parameter Store does not take.
    pub fn put(&self, name: &str, value: &str) {
        assert!(name.starts_with('/') && !name.ends_with('/'), "{name:?} is no full name of a parameter");
        assert!(!value.is_empty(), "{name}: a parameter's value is not empty");
        locked(&self.values).insert(name.to_owned(), value.to_owned());
    }

    /// Deletes a value.
    pub fn delete(&self, name: &str) {
        locked(&self.values).remove(name);
    }

    /// How often a path was read, in vain or not.
    #[must_use]
    pub fn reads(&self) -> u32 {
        *locked(&self.reads)
    }

    /// From now on functions may write nothing, or may again.
    pub fn refuse_writes(&self, refusing: bool) {
        *locked(&self.read_only) = refusing;
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

impl TokenStore for FakeParameters {
    async fn add(&self, name: &str, value: &Zeroizing<String>) -> Result<Stored, AwsError> {
        if *locked(&self.failing) || *locked(&self.read_only) {
            return Err(failed(Service::Parameters, "PutParameter"));
        }
        if locked(&self.values).contains_key(name) {
            return Ok(Stored::There);
        }
        self.put(name, value);
        Ok(Stored::New)
    }

    async fn remove(&self, name: &str) -> Result<(), AwsError> {
        if *locked(&self.failing) {
            return Err(failed(Service::Parameters, "DeleteParameter"));
        }
        self.delete(name);
        Ok(())
    }
}
