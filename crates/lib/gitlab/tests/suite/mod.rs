//! The suites, by port, and the GitLab that the client is held to them with.

#![allow(unreachable_pub, reason = "a module of a test")]

pub mod jobs;
pub mod projects;
pub mod runners;
pub mod simulator;
