//! A group that nobody sizes.

use super::Scaler;
use crate::pool::Pool;

/// It keeps the members that it began with.
#[derive(Clone, Copy, Debug)]
pub struct Fixed;

impl Scaler for Fixed {
    fn run(&mut self, _: &mut Pool) {}
}
