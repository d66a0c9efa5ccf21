//! The mapping: reading a file, deciding what a load or a deletion changes, and doing it.
//!
//! Decisions are pure: what is in the table, what the file says and what AWS said about the functions go in, a plan or
//! a list of refusals comes out. Only [`load`], [`list`] and [`delete`] talk to AWS.

mod agree;
mod check;
pub mod delete;
mod dynamo_json;
mod file;
pub mod list;
pub mod load;
mod merge;
mod notes;
mod plan;
mod problem;
mod table;
mod write;

pub use check::{Rules, Wanted, check, check_alone};
pub use file::{FileError, FileRow, read};
pub use plan::{Plan, Planned, Stack, What, plan};
pub use problem::Problem;
pub use table::Table;

#[cfg(test)]
mod properties;
