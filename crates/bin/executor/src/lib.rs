//! The executor: the engine's host inside Lambda.
//!
//! Its first act is to begin the launch in the ledger; who loses that leaves without a word to GitLab. Then it reads its
//! lane's token, asks for one job, binds it, says every ten seconds that it lives, and ends the launch. What it cannot write
//! any more is found by the sweep, because every row that is not closed stays due.

mod config;
mod error;
mod folder;
mod function;
mod heartbeat;
mod host;
mod introduce;
mod outcome;
mod sandbox;
mod served;
mod surroundings;
mod termination;

pub use config::Config;
pub use error::Error;
pub use function::Executor;
pub use outcome::{Ended, Outcome};
pub use sandbox::{Mode, NotClean, Sandbox, Scrub, Shared};
pub use served::{Ports, handle};
pub use surroundings::Settings;
