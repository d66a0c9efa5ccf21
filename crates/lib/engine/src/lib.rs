//! Runs one GitLab job as the shell executor of GitLab Runner does: ask, bind, accept, stages in bash, log, report.
//!
//! The engine knows neither Lambda nor EC2. What surrounds it is a [`Host`], which records who runs what; what it is
//! told is a [`RunConfig`]; what it did is an [`Outcome`]. `docs/fidelity.md` lists where it differs from the official
//! runner, and why.

mod accept;
mod artifacts;
mod ask;
mod caches;
mod config;
pub mod duration;
mod files;
mod job;
pub mod log;
mod places;
mod process;
mod report;
mod run;
mod script;
mod stop;
mod tree;
pub mod variables;
mod verdict;

pub use accept::{ACCEPT_LIMIT, BIND_LIMIT, SILENCE_LIMIT};
pub use config::{BindRefused, CachePlace, CacheUnknown, Deadline, Environment, Host, ImagePolicy, JobIds, RunConfig};
pub use places::{PlaceError, WorkRoot};
pub use process::{EndError, GuardError, IpcObjects, end_descendants, protect_process};
pub use report::Reported;
pub use run::{Handed, JobReport, Outcome, ask_one, run_handed, run_one};
pub use runnerless_core::cache::{CacheUse, NamedCaches};
pub use stop::{Stop, StopHandle, stop_channel};
pub use tree::{NoScrubRoot, ScrubError, ScrubRoot, Snapshot, remove_tree};
pub use verdict::Verdict;
