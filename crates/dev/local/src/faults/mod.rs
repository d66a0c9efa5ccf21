//! What goes wrong while an instance is launched, boots, runs a job and is stopped: a table that others can extend.
//!
//! A case is one JSON object on a line of a file in `cases/faults`; docs/development.md has the keys. [`read`] refuses a
//! table that cannot be carried out, with the line and the cure.

mod case;
mod op;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

pub use case::{Case, Expect, Fault, Job, Market, Phase};
pub use op::{BadOp, Op};

/// A table that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadTable {
    /// The file.
    #[error("{0} cannot be read: {1}")]
    Unreadable(PathBuf, #[source] std::io::Error),
    /// A line of it.
    #[error("{path}, line {line}: {why}")]
    Line {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong with it, and the cure.
        why: String,
    },
    /// Nothing would be shown.
    #[error("{0} has no case; write one JSON object a line")]
    Empty(PathBuf),
}

/// Reads a table; empty lines are skipped.
///
/// # Errors
/// See [`BadTable`].
pub fn read(path: &Path) -> Result<Vec<Case>, BadTable> {
    let text = std::fs::read_to_string(path).map_err(|error| BadTable::Unreadable(path.to_owned(), error))?;
    let mut ids = BTreeSet::new();
    let mut cases = Vec::new();
    for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let bad = |why: String| BadTable::Line { path: path.to_owned(), line: at + 1, why };
        let case: Case = serde_json::from_str(line).map_err(|error| bad(error.to_string()))?;
        case.check().map_err(|why| bad(format!("case {}: {why}", case.id)))?;
        if !ids.insert(case.id.clone()) {
            return Err(bad(format!("case {} is there twice; give it another id", case.id)));
        }
        cases.push(case);
    }
    if cases.is_empty() { Err(BadTable::Empty(path.to_owned())) } else { Ok(cases) }
}
