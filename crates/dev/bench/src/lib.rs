//! What the functions and the engine cost, each beside a floor that is built in the same run and makes the same calls.

pub mod arguments;
pub mod engine;
pub mod floor;
pub mod functions;
pub mod lines;
pub mod pool;
pub mod statistics;
pub mod sweep;
pub mod wire;
