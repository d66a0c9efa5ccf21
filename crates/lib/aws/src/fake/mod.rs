//! In-memory stand-ins with the semantics that matter: conditional writes, transactions, eventual answers, failures on
//! demand. `tests/contract.rs` holds them and the adapters to one suite.

mod clock;
mod ledger;
mod others;

pub use clock::FakeClock;
pub use ledger::FakeLedger;
pub use others::{FakeBus, FakeInvoker, FakeMapping, FakeParameters, Started};
