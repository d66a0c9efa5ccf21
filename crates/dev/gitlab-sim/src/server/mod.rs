//! The HTTP server: connections, requests, faults, the record of what was asked.

pub(crate) mod answer;
pub(crate) mod listen;
pub(crate) mod request;
pub(crate) mod serve;
pub(crate) mod tls;
