//! What every function does the same way: read its environment once, log, count, draw random ids, and answer errors by
//! a name that state machines match on.

pub mod env;
mod function;
mod logging;
pub mod metrics;
mod random;

pub use env::{Env, EnvError};
pub use function::{Call, Named, now, start};
pub use random::{Dice, SystemDice, nonce, token};
pub use runnerless_aws::clock::{Clock, SystemClock, within};
