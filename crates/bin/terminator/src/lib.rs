//! The terminator: settles the launch of a job that ended, takes the failure records of asynchronous invocations, and hears
//! of instances that EC2 takes back.
//!
//! It is idempotent, and each of its failures leaves a row that is still due, which the sweep finds. It acts on ids that
//! the ledger recorded, never on what an event says about them: a record counts only with the nonce of its launch, and a
//! warning only for an instance that is this stack's and that its launch names.

mod error;
mod event;
mod failed;
mod function;
mod interrupted;
mod outcome;
mod settle;

pub use error::Error;
pub use event::{Failure, Work};
pub use function::{Config, Terminator, handle};
pub use outcome::{Ended, Outcome};
