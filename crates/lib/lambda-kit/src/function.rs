//! The life of a function: start, then one call after the other.

use std::future::Future;
use std::process::ExitCode;
use std::sync::Arc;

use lambda_runtime::{Context, Diagnostic, LambdaEvent, service_fn};
use runnerless_aws::AwsError;
use runnerless_aws::clock::{Clock as _, SystemClock};
use runnerless_core::chain::chain;
use runnerless_core::time::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::env::{Env, EnvError};
use crate::logging;

/// An error with a name by which it leaves a function: state machines retry and catch by it.
pub trait Named: std::error::Error {
    /// `Part.What`, such as `Ledger.Throttled`.
    fn name(&self) -> &'static str;
}

impl Named for AwsError {
    fn name(&self) -> &'static str {
        Self::name(self)
    }
}

/// One invocation.
#[derive(Debug)]
pub struct Call<E> {
    /// What the function was given.
    pub event: E,
    /// AWS's id of the invocation.
    pub request_id: String,
    /// When Lambda ends it, by the wall clock.
    pub ends_at: Timestamp,
    /// The tenant whose execution environment this is, for functions that isolate tenants.
    pub tenant: Option<String>,
}

/// Now, as the ledger writes it.
#[must_use]
pub fn now() -> Timestamp {
    SystemClock.now()
}

/// Runs the function `service`: reads its environment with `configure`, then hands every call to `handle`. An error is
/// logged once, here, with its whole chain, and answered by its name.
pub fn start<C, E, R, X, F, Fut>(
    service: &'static str,
    configure: impl FnOnce(&Env) -> Result<C, EnvError>,
    handle: F,
) -> ExitCode
where
    C: Send + Sync + 'static,
    E: DeserializeOwned + Send + 'static,
    R: Serialize + Send + 'static,
    X: Named + Send + 'static,
    F: Fn(Arc<C>, Call<E>) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<R, X>> + Send + 'static,
{
    logging::start();
    let config = match configure(&Env::of_process()) {
        Ok(config) => Arc::new(config),
        Err(error) => {
            tracing::error!(target: "runnerless", service, error = %error, "the function cannot start");
            return ExitCode::FAILURE;
        }
    };
    let serve = service_fn(move |event: LambdaEvent<E>| {
        let answer = handle(Arc::clone(&config), call(event));
        async move { answer.await.map_err(|error| diagnose(service, &error)) }
    });
    // One thread: a function handles one call at a time, and a job's processes are not ours to schedule.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let served = match runtime {
        Ok(runtime) => runtime.block_on(lambda_runtime::run(serve)).map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(target: "runnerless", service, error, "the function ended");
            ExitCode::FAILURE
        }
    }
}

fn call<E>(event: LambdaEvent<E>) -> Call<E> {
    let Context { request_id, deadline, tenant_id, .. } = event.context;
    let ends_at = Timestamp(i64::try_from(deadline).unwrap_or(i64::MAX));
    Call { event: event.payload, request_id, ends_at, tenant: tenant_id }
}

fn diagnose<X: Named>(service: &'static str, error: &X) -> Diagnostic {
    let message = chain(error);
    tracing::error!(target: "runnerless", service, "error.name" = error.name(), error = message, "the call failed");
    Diagnostic { error_type: error.name().to_owned(), error_message: message }
}
