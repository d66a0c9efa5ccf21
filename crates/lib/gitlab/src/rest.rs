//! The few calls of GitLab's REST API that need an API token.
//!
//! They tell what a hook does not: a job's tags, the runner manager that has it, the jobs whose hook never came, and how
//! the hooks themselves stand. Each is one HTTP request and one typed answer; who calls decides what follows from
//! "unknown", which is never the same as "none".

mod api;
mod error;
mod facts;
pub mod fake;
mod hooks;
mod link;
mod pending;
mod project;

pub use api::{JobsApi, RestClient};
pub use error::RestError;
pub use facts::ApiJob;
pub use hooks::Hooks;
pub use pending::{PendingJob, PendingPage};
pub use project::{ApiProject, ProjectsApi};
