//! In-memory stand-ins that refuse what AWS refuses, with failures on demand. `tests/contract.rs` holds them and the adapters
//! to one suite.

mod calls;
mod functions;
mod mapping;
mod stacks;
mod tables;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub use calls::FakeFunctionCalls;
pub use functions::FakeFunctions;
pub use mapping::FakeMappingTable;
pub use stacks::FakeStacks;
pub use tables::{FakeLedgerTable, FakeSecrets};

use crate::ports::RemoteError;

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn failed(operation: &'static str, why: &str) -> RemoteError {
    RemoteError::Failed { operation, source: why.into() }
}
