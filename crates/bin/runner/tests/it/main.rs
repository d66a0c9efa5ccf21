//! The runner as a process: its jobs, its life on an instance, and its ways to GitLab. One program, so that its tests run side by
//! side: most of their time is spent waiting.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod artifacts;
mod caches;
mod contact;
mod instance;
mod jobs;
mod pipelines;
#[path = "../../../../lib/gitlab/tests/suite/simulator.rs"]
mod simulator;
mod sources;
#[path = "../support/mod.rs"]
mod support;
mod way;
