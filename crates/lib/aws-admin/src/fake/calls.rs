//! Functions in memory that are waited for.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Mutex;

use serde_json::Value;

use super::{failed, locked};
use crate::ports::{Answered, FunctionCalls, RemoteError};

type Function = Box<dyn Fn(&Value) -> Answered + Send>;

/// Functions by what they do with an event.
#[derive(Default)]
pub struct FakeFunctionCalls {
    functions: Mutex<BTreeMap<String, Function>>,
}

impl fmt::Debug for FakeFunctionCalls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeFunctionCalls").field("functions", &locked(&self.functions).len()).finish()
    }
}

impl FakeFunctionCalls {
    /// There is a function of this name, which does that.
    pub fn deploy(&self, function: &str, does: impl Fn(&Value) -> Answered + Send + 'static) {
        locked(&self.functions).insert(function.to_owned(), Box::new(does));
    }
}

impl FunctionCalls for FakeFunctionCalls {
    async fn call(&self, function: &str, event: &str) -> Result<Answered, RemoteError> {
        let functions = locked(&self.functions);
        let Some(does) = functions.get(function) else {
            return Err(RemoteError::Missing { operation: "Invoke", what: format!("function {function}") });
        };
        let event = serde_json::from_str(event).map_err(|_| failed("Invoke", "InvalidRequestContentException"))?;
        Ok(does(&event))
    }
}
