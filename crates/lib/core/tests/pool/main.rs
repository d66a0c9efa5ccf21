//! How a pool is sized: each rule by a case with a name, and what holds of any pool by random ones.

#![allow(clippy::unwrap_used, reason = "a test fails where something is not as it should be")]

mod bench;
mod exposition;
mod findings;
mod growing;
mod random;
mod shrinking;
mod unknown;
