//! The suite, by port, and how the emulator is prepared for it.

#![allow(unreachable_pub, reason = "a module of a test")]

pub mod emulator;
pub mod ledger;
pub mod mapping;
pub mod others;
pub mod parameters;
