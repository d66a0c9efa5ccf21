//! What the suites share that run pipelines: the repository, what is expected of its jobs, the jobs' lines with what GitLab
//! saw and what the ledger says, and what is left behind.

pub mod expect;
pub(crate) mod jobs;
pub(crate) mod ledger;
pub(crate) mod leftovers;
pub mod lines;
pub(crate) mod repository;
pub mod timeline;

pub use repository::RepositoryError;
