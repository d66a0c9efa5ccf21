//! What the operator's command line does to AWS and no function may: read a whole table, write the mapping, write
//! secrets, read the settings of functions, wait for their answers, delete a stack. It is a crate of its own so that no function can be linked with it.

mod adapter;
pub mod fake;
pub mod ports;

pub use adapter::{FunctionInvoker, FunctionSettings, LedgerTable, MappingTable, SecretParameters, StackService};
