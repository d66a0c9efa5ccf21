//! Rows for the tests of projects.

use super::{ProjectRow, heard};
use crate::change::{Plan, Write, decode};
use crate::time::Timestamp;

/// The row that the plan writes.
pub(crate) fn row_of(plan: &Plan) -> ProjectRow {
    let item = plan.changes.iter().find_map(|change| match &change.write {
        Write::Put(item) => Some(item),
        Write::Check => None,
    });
    decode(item.expect("the plan writes the project")).unwrap()
}

/// A project whose hook came at `now`.
pub(crate) fn seen_at(now: Timestamp) -> ProjectRow {
    row_of(&heard(None, 41, "acme/widget", now).expect("a new project"))
}
