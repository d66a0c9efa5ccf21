//! The moves on the ledger: load what a decision needs, decide, apply, and start again when somebody was faster.
//!
//! Nothing is decided here. Each function is the one place where a move's rows are chosen, so that the executor, `claim`,
//! the router, the terminator and the sweep make the same move in the same way.

mod over;
mod runner;

use runnerless_core::change::{BadRow, RowKey};
use runnerless_core::id::{JobKey, LaunchId};
use runnerless_core::job::JobRow;
use runnerless_core::lane_row::{LaneRow, RunnerRow, lane_pk};
use runnerless_core::launch::LaunchRow;
use runnerless_core::moves::{self, Introduction};
use runnerless_core::time::Timestamp;

pub use over::Concluded;

use crate::error::AwsError;
use crate::ports::{Applied, Ledger, Rows};

/// How often a move is decided again because a row changed in between. A launch has at most three writers at a time
/// (its runner, the router, the sweep), so that more conflicts than this mean trouble.
const TRIES: usize = 8;

/// A move that was not made.
#[derive(Debug, thiserror::Error)]
pub enum MoveError<R: std::error::Error + 'static> {
    /// The rules do not allow it.
    #[error(transparent)]
    Refused(R),
    /// There is no such launch, or no more.
    #[error("there is no launch {0}")]
    NoLaunch(LaunchId),
    /// The ledger could not be read or written.
    #[error(transparent)]
    Ledger(#[from] AwsError),
}

impl<R: std::error::Error + 'static> From<BadRow> for MoveError<R> {
    fn from(bad: BadRow) -> Self {
        Self::Ledger(bad.into())
    }
}

/// A launch's row, and with it that of the job that it is probably about: one read.
#[derive(Clone, Debug)]
pub struct Pair {
    /// The launch.
    pub launch: LaunchRow,
    about: Option<JobKey>,
    rows: Rows,
}

impl Pair {
    /// The job's row, if it was read and names the launch, as the one that has the job or else is charged to it. One that does
    /// not may be older than the launch's row: of two rows that are read at once each is as it stood at its own moment.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn job_that_names_it(&self, key: JobKey) -> Result<Option<JobRow>, BadRow> {
        let read = if self.about == Some(key) { self.rows.job(key)? } else { None };
        let of = |row: &JobRow| if self.launch.bound_job.is_some() { row.launch.clone() } else { row.charge.clone() };
        Ok(read.filter(|row| of(row).as_ref() == Some(&self.launch.launch)))
    }
}

impl From<LaunchRow> for Pair {
    /// A launch whose job was not read.
    fn from(launch: LaunchRow) -> Self {
        Self { launch, about: None, rows: Rows::default() }
    }
}

/// The ledger as a book of launches.
#[derive(Debug)]
pub struct Book<'a, L>(pub &'a L);

impl<L: Ledger> Book<'_, L> {
    /// See [`moves::introduced`].
    ///
    /// # Errors
    /// A row cannot be read, or the ledger is out of reach.
    pub async fn introduce(&self, said: Introduction<'_>, now: Timestamp) -> Result<(), AwsError> {
        for _ in 0..TRIES {
            let (row, runner) = self.introduction_rows(said).await?;
            let plan = moves::introduced(row.as_ref(), runner.as_ref(), said, now);
            if self.0.apply(&plan).await? == Applied::All {
                return Ok(());
            }
        }
        Err(AwsError::Contended(lane_pk(said.lane)))
    }

    /// The rows of a lane and of the runner that it asks as.
    ///
    /// # Errors
    /// A row cannot be read, or the ledger is out of reach.
    pub async fn introduction_rows(
        &self,
        said: Introduction<'_>,
    ) -> Result<(Option<LaneRow>, Option<RunnerRow>), AwsError> {
        let keys = [RowKey::Lane(said.lane.clone())].into_iter().chain(said.runner_id.map(RowKey::Runner));
        let rows = self.0.load(&keys.collect::<Vec<_>>()).await?;
        let runner = said.runner_id.map_or(Ok(None), |id| rows.runner(id))?;
        Ok((rows.lane(said.lane)?, runner))
    }

    /// The launch's row.
    ///
    /// # Errors
    /// The ledger is out of reach.
    pub async fn launch(&self, id: &LaunchId) -> Result<Option<LaunchRow>, AwsError> {
        Ok(self.0.load(&[RowKey::Launch(id.clone())]).await?.launch(id)?)
    }

    /// The launch's row, and with it that of the job that it is probably about.
    ///
    /// # Errors
    /// The ledger is out of reach.
    pub async fn pair(&self, id: &LaunchId, about: Option<JobKey>) -> Result<Option<Pair>, AwsError> {
        let keys = [RowKey::Launch(id.clone())].into_iter().chain(about.map(RowKey::Job));
        let rows = self.0.load(&keys.collect::<Vec<_>>()).await?;
        Ok(rows.launch(id)?.map(|launch| Pair { launch, about, rows }))
    }

    /// The row of this job, as if it were read after the launch's.
    async fn job_with(&self, pair: &Pair, key: JobKey) -> Result<Option<JobRow>, AwsError> {
        match pair.job_that_names_it(key)? {
            Some(row) => Ok(Some(row)),
            None => Ok(self.0.load(&[RowKey::Job(key)]).await?.job(key)?),
        }
    }

    async fn existing<R: std::error::Error + 'static>(&self, id: &LaunchId) -> Result<LaunchRow, MoveError<R>> {
        self.launch(id).await?.ok_or_else(|| MoveError::NoLaunch(id.clone()))
    }

    /// The row that was read before, the first time: a write is on condition of its revision, so that an old one does no harm.
    async fn read_or<R: std::error::Error + 'static>(
        &self,
        read: &mut Option<LaunchRow>,
        id: &LaunchId,
    ) -> Result<LaunchRow, MoveError<R>> {
        match read.take() {
            Some(launch) => Ok(launch),
            None => self.existing(id).await,
        }
    }

    /// The row of the job that the launch has, else of the one that it was started for.
    async fn job_of(&self, launch: &LaunchRow) -> Result<Option<JobRow>, AwsError> {
        let Some(key) = has_or_is_for(launch) else { return Ok(None) };
        Ok(self.0.load(&[RowKey::Job(key)]).await?.job(key)?)
    }
}

/// The job that the launch has, else the one that it was started for.
fn has_or_is_for(launch: &LaunchRow) -> Option<JobKey> {
    launch.bound_job.or(launch.charged_to)
}

fn contended<R: std::error::Error + 'static>(id: &LaunchId) -> MoveError<R> {
    MoveError::Ledger(AwsError::Contended(id.pk()))
}

#[cfg(test)]
mod tests;
