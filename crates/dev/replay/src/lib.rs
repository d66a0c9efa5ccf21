//! The scaler and its rivals over one trace of jobs, in virtual time.
//!
//! [`pool`] is an Auto Scaling group whose members are runner managers: it boots and ends members, hands jobs to free slots,
//! and counts what becomes of them. A [`Scaler`] sees of it what it would see of the real thing, once a minute. Ours is the
//! real decision, [`runnerless_core::pool::decide`]. All scalers get the same jobs, boot delay, slots and limits.
//!
//! [`worlds`] has the same pool with everything that goes wrong.

mod arguments;
pub mod bundled;
pub mod pool;
mod replay;
mod report;
mod scalers;
pub mod trace;
pub mod worlds;

pub use arguments::{Arguments, BadArguments, Conditions};
pub use replay::{Outcome, Rival, replay};
pub use report::{line, summary, table, worlds_line};
pub use scalers::{Fixed, Ours, Scaler, Tracking};
