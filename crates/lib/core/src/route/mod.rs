//! Routing: from a job's name, scope and tags to the lane that serves it.
//!
//! [`route`] is what the router does and what `runnerless explain` prints: one function, no second opinion.

mod decide;
mod learned;
mod name;
mod row;
mod tie;

pub use decide::{Abilities, Considered, Decision, DefaultRoute, Job, Outcome, Verdict, route, serves};
pub use learned::{Learned, learned_pk};
pub use name::{base_name, partitions};
pub use row::{BadMapRow, BadTarget, LANES_PK, LaneEntry, MapRow, Matcher, PATTERN_PK, Scope, Size, TargetFacts};
pub use tie::could_tie;
