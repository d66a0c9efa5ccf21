//! Why a row is refused.

use std::fmt;

use runnerless_core::route::MapRow;

/// One reason to refuse a load or a deletion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Which row of the file, from 1; `None` for a row of the table.
    pub position: Option<usize>,
    /// The row's keys.
    pub row: String,
    /// What is wrong, and the cure.
    pub what: String,
}

impl Problem {
    /// With a row of the file.
    pub(super) fn of(position: usize, row: &MapRow, what: impl Into<String>) -> Self {
        Self { position: Some(position), row: row.to_string(), what: what.into() }
    }

    /// With a row of the table.
    pub(super) fn stored(row: impl Into<String>, what: impl Into<String>) -> Self {
        Self { position: None, row: row.into(), what: what.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.position {
            Some(position) => write!(f, "row {position} of the file ({}): {}", self.row, self.what),
            None => write!(f, "{}: {}", self.row, self.what),
        }
    }
}
