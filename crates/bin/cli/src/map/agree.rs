//! Whether rows agree: one tag set in one lane, and no two rows equally specific for one job.

use std::collections::BTreeMap;

use runnerless_core::lane::{Engine, Lane};
use runnerless_core::route::{MapRow, Matcher, could_tie};

use super::Problem;

/// A row and where it comes from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placed<'a> {
    /// Which row of the file, from 1; `None` for a row that only the table has.
    pub(super) position: Option<usize>,
    /// The row.
    pub(super) row: &'a MapRow,
}

impl Placed<'_> {
    fn name(&self) -> String {
        match self.position {
            Some(position) => format!("row {position} ({})", self.row),
            None => format!("the stored row {}", self.row),
        }
    }
}

/// Rows of the file that would put a tag set into a second lane.
pub(super) fn lanes(rows: &[Placed<'_>]) -> Vec<Problem> {
    // What stands in the table comes first, so that the file's row is the one that is refused.
    let mut ordered: Vec<&Placed<'_>> = rows.iter().collect();
    ordered.sort_by_key(|placed| placed.position);
    let mut first: BTreeMap<_, (&Placed<'_>, Lane)> = BTreeMap::new();
    let mut problems = Vec::new();
    for placed in ordered {
        let lane = placed.row.lane();
        let (other, theirs) = first.entry(lane.tags.clone()).or_insert_with(|| (placed, lane.clone()));
        let (Some(position), Some(difference)) = (placed.position, difference(&lane, theirs)) else { continue };
        let what = format!(
            "{} has the same tags {} and another {difference}; GitLab hands out jobs by tags alone, so give one of \
             them other tags, or make them alike",
            other.name(),
            lane.tags
        );
        problems.push(Problem::of(position, placed.row, what));
    }
    problems
}

/// How two lanes of one tag set differ.
pub(super) fn difference(one: &Lane, other: &Lane) -> Option<&'static str> {
    if one.engine != other.engine {
        Some("engine (type)")
    } else if one.target != other.target {
        Some(match one.engine {
            Engine::Lambda => "function (arn)",
            Engine::Ec2 => "size (instance_types, disk_gb, market)",
        })
    } else if one.run_untagged != other.run_untagged {
        Some("run_untagged")
    } else {
        None
    }
}

/// Rows of the file that could be as specific for some job as another row.
pub(super) fn ties(rows: &[Placed<'_>]) -> Vec<Problem> {
    // Only rows of one name, or patterns, can tie.
    let mut by_name: BTreeMap<Option<&str>, Vec<&Placed<'_>>> = BTreeMap::new();
    for placed in rows {
        let name = match &placed.row.matcher {
            Matcher::Name(name) => Some(name.as_str()),
            Matcher::Pattern(_) => None,
        };
        by_name.entry(name).or_default().push(placed);
    }
    let mut problems = Vec::new();
    for group in by_name.values() {
        for (at, one) in group.iter().enumerate() {
            for other in &group[at + 1..] {
                // The later row of the file is the one that is refused.
                let (blamed, other) = if one.position > other.position { (one, other) } else { (other, one) };
                let Some(position) = blamed.position else { continue };
                if could_tie(blamed.row, other.row) {
                    let what = format!(
                        "{} is as specific for the same jobs; narrow one of them (projects, groups, refs, stages)",
                        other.name()
                    );
                    problems.push(Problem::of(position, blamed.row, what));
                }
            }
        }
    }
    problems
}
