//! Whole suites, each on a deployed stack of its own. They are one program, so that they run side by side: most of their time
//! is spent waiting.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod breakage;
mod faults;
mod instance_cases;
mod pool;
mod stack;
mod storm;
