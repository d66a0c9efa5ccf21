//! What members and GitLab tell.

use crate::time::Timestamp;

/// What came of asking one member for its metrics. A member without one was not asked, which is a failure as well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scrape {
    /// Its metrics.
    Good(Reading),
    /// Why there are none.
    Failed(String),
}

/// A runner manager's metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// When they were taken, by the member's clock where it says so (the answer's `Date`), else by ours.
    pub taken_at: Timestamp,
    /// The jobs that run, of all its runners.
    pub jobs: u32,
    /// The jobs that it runs at once; `None` if it did not tell.
    pub capacity: Option<u32>,
    /// What its process does.
    pub process: Process,
    /// The jobs that it ever took; `None` while it tells none.
    pub jobs_total: Option<u64>,
}

/// What a runner manager's process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Process {
    /// It takes jobs.
    Running,
    /// It does not take jobs yet.
    Starting,
    /// It ends once its jobs have, and takes no more.
    Draining,
    /// It did not tell, or something that we do not know.
    Unknown,
}

/// The jobs that wait for the pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pending {
    /// So many.
    Known(u32),
    /// Why nobody knows.
    Unknown(String),
}
