//! The sweep over ports in memory. One program, because each would compile the whole sweep for them.
#![allow(clippy::unwrap_used, reason = "a test fails where something is not as it should be")]

mod backfill;
mod bounds;
mod bursts;
mod drain;
mod instances;
mod lane_runners;
mod lanes;
mod lost;
mod official;
#[path = "../../../router/tests/support/mod.rs"]
mod support;
mod sweep;
