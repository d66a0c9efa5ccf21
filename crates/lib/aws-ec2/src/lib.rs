//! Throwaway instances: the fleet port, its EC2 adapter and its in-memory stand-in.
//!
//! A crate of its own, because EC2's SDK is by far the largest: functions that launch and end no instances are built
//! without it.

mod adapter;
pub mod fake;
pub mod leave;
pub mod port;

pub use adapter::Ec2Fleet;
pub use fake::FakeFleet;
pub use port::{Fleet, Terminated};
