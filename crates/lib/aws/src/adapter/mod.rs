//! The adapters: one file per service, one client each, made once.

mod bus;
mod failure;
mod invoke;
mod ledger;
mod mapping;
mod parameters;

pub use bus::EventBus;
#[doc(hidden)]
pub use failure::failure;
pub use invoke::LambdaInvoker;
pub use ledger::DynamoLedger;
pub use mapping::DynamoMapping;
pub use parameters::ParameterStore;
