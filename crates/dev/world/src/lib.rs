//! Simulated worlds: our handlers against a GitLab and an AWS in which everything goes wrong.
//!
//! One world runs on one thread, in virtual time, from one seed.

pub mod gitlab;
