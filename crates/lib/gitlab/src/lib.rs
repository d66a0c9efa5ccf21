//! GitLab as the wire shows it: webhooks in, REST and runner protocol out.

pub mod proof;
pub mod protocol;
pub mod rest;
pub mod webhook;
