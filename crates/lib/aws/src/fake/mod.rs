//! In-memory stand-ins with the semantics that matter: conditional writes, transactions, eventual answers, failures on
//! demand. They refuse what AWS refuses. `tests/contract.rs` holds them and the adapters to one suite.

mod bus;
mod clock;
mod invoker;
mod ledger;
mod limits;
mod mapping;
mod parameters;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub use bus::FakeBus;
pub use clock::FakeClock;
pub use invoker::{FakeInvoker, Started};
pub use ledger::FakeLedger;
pub use mapping::FakeMapping;
pub use parameters::FakeParameters;

use crate::error::{AwsError, Service};

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn failed(service: Service, operation: &'static str) -> AwsError {
    AwsError::Unavailable { service, operation, source: "the test said so".into() }
}

fn refused(service: Service, operation: &'static str, why: &str) -> AwsError {
    AwsError::Refused { service, operation, source: why.into() }
}
