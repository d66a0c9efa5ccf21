//! Ours and its rivals.

mod fixed;
mod ours;
mod tracking;

pub use fixed::Fixed;
pub use ours::Ours;
pub use tracking::Tracking;

use crate::pool::Pool;

/// Who sizes a pool.
pub trait Scaler {
    /// Once a minute.
    fn run(&mut self, pool: &mut Pool);
}
