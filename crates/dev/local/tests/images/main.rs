//! The scripts of images in a root of Debian's packages, of which both are tested: the instances' and the executor's.

#![allow(clippy::unwrap_used, reason = "a test's helper may panic: that fails the test")]

mod ami;
mod executor;
mod machine;
mod shelf;
