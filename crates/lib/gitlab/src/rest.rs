//! The few calls of GitLab's REST API that need an API token.
//!
//! They tell what a hook does not: a job's tags, and the runner manager that has it. Each is one HTTP request and one typed
//! answer; who calls decides what follows from "unknown", which is never the same as "none".

mod api;
mod error;
mod facts;
pub mod fake;

pub use api::{JobsApi, RestClient};
pub use error::RestError;
pub use facts::ApiJob;
