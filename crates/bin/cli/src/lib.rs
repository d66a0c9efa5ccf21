//! `runnerless`: the operator's command line.
//!
//! Every command takes what it needs through a port, so that it is tested without AWS; [`run`] is where the adapters
//! are chosen.

pub mod arguments;
mod commands;
mod error;
pub mod explain;
pub mod ledger;
pub mod map;
pub mod project;
pub mod removal;
mod screen;
pub mod secrets;
mod settings;
pub mod stack;
pub mod sweep;

pub use commands::{Input, run};
pub use error::CliError;
pub use screen::Screen;
pub use settings::{Environment, Settings};
