//! Projects: which are known, when each is listed next, and whether their webhooks do their work.
//!
//! A hook that was lost before it was stored leaves no trace with us. With an API token the sweep therefore lists the
//! pending jobs of every project that it knows, the lively ones often, and looks at their hooks. [`heard`] and [`add`]
//! make projects known, [`in_order`] says which come first, [`visited`] what follows from a listing, and [`bound`] how
//! long all that takes.

mod bound;
mod hook;
mod rounds;
mod row;
#[cfg(test)]
pub(crate) mod testing;
mod visit;

pub use bound::{Bound, Census, Class, NoBound, bound, in_order};
pub use hook::{Alert, Health, Hook, health};
pub use rounds::{ROUNDS_PK, Rounds};
pub use row::{PARTITION, ProjectRow, add, heard, project_of, project_pk};
pub use visit::{Listed, Pages, Seen, Trouble, Visited, is_unheard, looks_at_hook, overdue, visited};
