//! The scaler: once a minute it gives a pool of runner managers the size that their jobs need.
//!
//! Load, decide, remember, act, report. What it loads is the Auto Scaling group, the metrics of each member, the jobs that
//! wait and what the run before remembered; [`runnerless_core::pool::decide`] makes a decision of them, with reasons. What
//! is to be remembered is stored before anything is done, on condition that nobody else did meanwhile: of two runs at once
//! one leaves. A run that dies anywhere leaves a group from which the next one decides anew.

mod act;
mod api;
mod config;
mod error;
mod load;
mod pending;
mod report;
mod run;
mod scrape;

use serde::Deserialize;

pub use api::Jobs;
pub use config::Config;
pub use error::Error;
pub use pending::Waiting;
pub use report::{Done, Item, Outcome, Report};
pub use run::Scaler;

pub(crate) const SERVICE: &str = "scaler";

/// What the function is asked: EventBridge's schedule event, or a dry run by hand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Request {
    /// Only decide: nothing is remembered and nothing done.
    #[serde(default)]
    pub dry_run: bool,
}
