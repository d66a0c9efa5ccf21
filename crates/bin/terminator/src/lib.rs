//! The terminator: settles the launch of a job that ended, and takes the failure records of asynchronous invocations.
//!
//! It is idempotent, and each of its failures leaves a row that is still due, which the sweep finds. It acts on ids that
//! the ledger recorded, never on what an event says about them: a record counts only with the nonce of its launch.

mod error;
mod event;
mod failed;
mod function;
mod outcome;
mod settle;

pub use error::Error;
pub use event::{Failure, Work};
pub use function::{Config, Terminator, handle};
pub use outcome::{Ended, Outcome};
