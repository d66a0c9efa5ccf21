//! Runners: our executor, a function in another language and the program on an instance, each as one process with GitLab's times and the engine's.
//!
//! The engine itself speaks HTTP and starts shells; what it does in time and order is modelled here after
//! `lib/engine`, `bin/executor` and `bin/runner`. Each move on the ledger is the real one.

mod desk;
pub(crate) mod engine;
pub(crate) mod executor;
pub(crate) mod foreign;
pub(crate) mod instance;
