//! Settings of functions in memory.

use std::sync::Mutex;

use super::locked;
use crate::ports::{FunctionFacts, Functions, RemoteError};

/// Functions that only have settings.
#[derive(Debug, Default)]
pub struct FakeFunctions {
    known: Mutex<Vec<FunctionFacts>>,
    refusing: Mutex<bool>,
}

impl FakeFunctions {
    /// A function, under its ARN and its name, over an older one.
    pub fn put(&self, facts: FunctionFacts) {
        let mut known = locked(&self.known);
        known.retain(|other| other.arn != facts.arn);
        known.push(facts);
    }

    /// From now on the caller may not read settings, or may.
    pub fn refuse(&self, refusing: bool) {
        *locked(&self.refusing) = refusing;
    }
}

impl Functions for FakeFunctions {
    async fn facts(&self, function: &str) -> Result<Option<FunctionFacts>, RemoteError> {
        if *locked(&self.refusing) {
            return Err(RemoteError::Denied {
                operation: "GetFunctionConfiguration",
                right: "lambda:GetFunctionConfiguration",
                source: "the test said so".into(),
            });
        }
        let named = |facts: &&FunctionFacts| {
            facts.arn == function || facts.arn.rsplit_once(":function:").is_some_and(|(_, name)| name == function)
        };
        Ok(locked(&self.known).iter().find(named).cloned())
    }
}
