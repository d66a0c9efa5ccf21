//! The suite, by port, and how the emulator is prepared for it.

#![allow(unreachable_pub, reason = "a module of a test")]

pub mod bus;
pub mod clock;
pub mod emulator;
pub mod invoker;
pub mod ledger;
pub mod mapping;
pub mod parameters;
