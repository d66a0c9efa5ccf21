//! The runner protocol: what a runner and GitLab say to each other about one job.
//!
//! The client here speaks; it does not decide. Every call is one HTTP request and one typed answer, and who calls
//! says what follows from it. The calls that are made outside a job ([`Client::verify`], [`Client::delete_manager`],
//! [`Client::delete_runner`]) repeat themselves a few times; `jobs/request` never does, because an answer that was
//! lost may have carried a job, nor does what makes a runner.

mod artifacts;
mod body;
mod client;
mod enrol;
mod error;
pub mod fake;
mod incoming;
mod info;
mod lenient;
mod manager;
mod request;
mod runners;
mod secret;
mod storage;
mod trace;
mod update;

pub use artifacts::{ArtifactAnswer, ArtifactFile, ArtifactForm, DownloadError, Downloaded};
pub use body::{
    Artifact, ArtifactsFile, CacheEntry, Dependency, GitInfo, Hook, Image, Input, JobBody, JobFeatures, JobInfo,
    NO_TIMEOUT_SENT_SECS, RunnerInfo, Service, Step, Variable,
};
pub(crate) use client::Answer;
pub use client::{Client, ClientConfig, ConfigError, check};
pub use enrol::{BadScope, Deleted, Made, NewRunner, RunnerScope};
pub use error::{JobStatus, Refusal, TransportError};
pub use incoming::{BrokenOff, Incoming};
pub use info::{Features, Info};
pub use manager::ManagerError;
pub use request::{Assignment, RequestError, Requested};
pub use runnerless_core::way::{Proxy, Way};
pub use runners::{Forgotten, Runners, Verified};
pub use secret::Secret;
pub use storage::{Fetched, StorageAnswer, StorageError, StoredFile};
pub use trace::{PatchError, Patched};
pub use update::{TraceSum, Update, UpdateError, UpdateState, Updated};
