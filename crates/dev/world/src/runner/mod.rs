//! Runners: our executor and a function in another language, each as one process with GitLab's times and the engine's.
//!
//! The engine itself speaks HTTP and starts shells; what it does in time and order is modelled here after
//! `lib/engine` and `bin/executor`. Each move on the ledger is the real one.

mod engine;
pub(crate) mod executor;
pub(crate) mod foreign;
