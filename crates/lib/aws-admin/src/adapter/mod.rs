//! The adapters: one file per service, one client each, made once.

mod calls;
mod failure;
mod functions;
mod ledger;
mod mapping;
mod secrets;
mod stacks;
mod write;
mod xml;

pub use calls::FunctionInvoker;
pub use functions::FunctionSettings;
pub use ledger::LedgerTable;
pub use mapping::MappingTable;
pub use secrets::SecretParameters;
pub use stacks::StackService;
