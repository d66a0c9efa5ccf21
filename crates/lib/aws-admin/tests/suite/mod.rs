//! The suites, by port.

#![allow(unreachable_pub, reason = "a module of a test")]

pub mod calls;
pub mod functions;
pub mod ledger;
pub mod mapping;
pub mod secrets;
pub mod stacks;
