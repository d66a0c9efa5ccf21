//! Claim: the ledger and the lane's token for Lambda functions in other languages.
//!
//! Who calls is known by the launch's nonce alone, which only the router's event told; which function calls, and what it
//! says about itself, decides nothing. A launch that is not there and a nonce that is not its own get the same answer.
//! `docs/lambda-event.md` describes the calls.

mod answer;
mod claim;
pub mod deeds;
mod error;
pub mod fields;
mod function;
mod request;

pub use answer::Answer;
pub use claim::{Ports, handle};
pub use error::Error;
pub use function::{Claim, Config};
pub use request::{Does, Request};
