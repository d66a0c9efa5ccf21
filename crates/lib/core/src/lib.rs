//! Runnerless: vocabulary and decisions.
//!
//! Every decision is a pure, synchronous function. It takes the rows it needs and `now`, and returns a plan made of
//! data (conditional writes and the effects to have), each with its reason. Binaries load, plan, act and report; they
//! decide nothing. This crate knows no runtime, no SDK, no HTTP, no clock, no randomness and no environment.

pub mod cache;
pub mod chain;
pub mod change;
pub mod drain;
pub mod event;
pub mod fleet;
pub mod frozen;
pub mod id;
pub mod instance_row;
pub mod job;
pub mod lane;
pub mod lane_row;
pub mod launch;
pub mod limits;
pub mod live;
pub mod moves;
pub mod need;
pub mod official;
pub mod own_runner;
pub mod pool;
pub mod project;
pub mod route;
pub mod sealed;
pub mod status;
pub mod time;
pub mod way;
