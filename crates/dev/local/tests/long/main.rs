//! What takes long: whole suites, each on a deployed stack of its own, the scripts of images, a job's log over a network that
//! breaks. They are one program, so that they run side by side: most of their time is spent waiting.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod breakage;
mod faults;
mod instance_cases;
mod pool;
mod scripts;
mod stack;
mod storm;
#[path = "../support/suite.rs"]
mod suite;
#[path = "../support/mod.rs"]
mod support;
mod trace_breakage;
