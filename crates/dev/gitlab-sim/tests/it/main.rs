//! The simulator over real HTTP: what runners, people and receivers of hooks see.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod bench;
mod cancel;
mod case;
mod deploying;
mod distort;
mod faults;
mod hook_events;
mod hook_limits;
mod life;
mod matching;
mod pipelines;
mod receiver;
mod restart;
mod tokens;
mod trace;
mod user_api;
