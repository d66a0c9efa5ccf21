//! Throwaway instances and pools: the ports for the fleet and for an Auto Scaling group, their adapters and in-memory
//! stand-ins.
//!
//! A crate of its own, because EC2's SDK is by far the largest: functions that launch and end no instances are built
//! without it.

mod adapter;
mod calls;
pub mod fake;
pub mod leave;
pub mod pool;
pub mod port;

pub use adapter::Ec2Fleet;
pub use fake::FakeFleet;
pub use pool::{AutoScaling, FakePool, Machine, Pool};
pub use port::{Fleet, Terminated};
