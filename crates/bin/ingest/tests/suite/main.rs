//! The front door over the stand-ins, driven by the requests of `events/ingest`.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod anything;
mod deliveries;
mod projects;
mod refusals;
mod support;
