//! GitLab as the wire shows it: webhooks in, REST and runner protocol out, and the metrics of runner managers.

pub mod metrics;
pub mod proof;
pub mod protocol;
pub mod rest;
pub mod webhook;
