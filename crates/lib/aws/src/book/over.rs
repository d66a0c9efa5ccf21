//! The moves by which a launch is over, and what is owed then: its job's next attempt, GitLab's word, its instance.

use runnerless_core::change::{Plan, RowKey, Write, decode};
use runnerless_core::id::{JobKey, LaunchId};
use runnerless_core::job::{JobRow, JobState};
use runnerless_core::launch::LaunchRow;
use runnerless_core::moves::{self, CloseRefused, Debt, End, Evidence, Loss, Settlement};
use runnerless_core::time::Timestamp;

use super::{Book, MoveError, Pair, TRIES, contended, has_or_is_for};
use crate::error::AwsError;
use crate::ports::{Applied, Ledger};

impl<L: Ledger> Book<'_, L> {
    /// See [`moves::conclude`].
    ///
    /// # Errors
    /// The ledger is out of reach.
    pub async fn conclude(&self, id: &LaunchId, end: &End, now: Timestamp) -> Result<Concluded, AwsError> {
        self.conclude_from(id, None, None, end, now).await
    }

    /// See [`moves::conclude`], of a launch that was probably about this job.
    ///
    /// # Errors
    /// The ledger is out of reach.
    pub async fn conclude_about(
        &self,
        id: &LaunchId,
        about: Option<JobKey>,
        end: &End,
        now: Timestamp,
    ) -> Result<Concluded, AwsError> {
        self.conclude_from(id, about, None, end, now).await
    }

    /// See [`moves::conclude`], of a launch whose row was just read.
    ///
    /// # Errors
    /// The ledger is out of reach.
    pub async fn conclude_read(&self, read: Pair, end: &End, now: Timestamp) -> Result<Concluded, AwsError> {
        self.conclude_from(&read.launch.launch.clone(), None, Some(read), end, now).await
    }

    async fn conclude_from(
        &self,
        id: &LaunchId,
        mut about: Option<JobKey>,
        mut read: Option<Pair>,
        end: &End,
        now: Timestamp,
    ) -> Result<Concluded, AwsError> {
        for _ in 0..TRIES {
            let pair = match read.take() {
                Some(pair) => Some(pair),
                None => self.pair(id, about).await?,
            };
            let Some(pair) = pair else { return Ok(Concluded::WasOver) };
            about = has_or_is_for(&pair.launch);
            let job = match about {
                Some(key) if !moves::leaves_its_job(&pair.launch, end, now) => self.job_with(&pair, key).await?,
                _ => None,
            };
            let Some(plan) = moves::conclude(&pair.launch, job.as_ref(), end, now) else {
                return Ok(Concluded::WasOver);
            };
            if self.0.apply(&plan).await? == Applied::All {
                return Ok(unserved(&plan).map_or(Concluded::Now, Concluded::LeavesUnserved));
            }
        }
        Err(AwsError::Contended(id.pk()))
    }

    /// See [`moves::close`].
    ///
    /// # Errors
    /// It may not be closed (now), or the ledger is out of reach.
    pub async fn close(
        &self,
        id: &LaunchId,
        evidence: Evidence,
        why: &str,
        now: Timestamp,
    ) -> Result<LaunchRow, MoveError<CloseRefused>> {
        for _ in 0..TRIES {
            let launch = self.existing(id).await?;
            let plan = moves::close(&launch, evidence, why, now).map_err(MoveError::Refused)?;
            if self.0.apply(&plan).await? == Applied::All {
                return Ok(launch);
            }
        }
        Err(contended(id))
    }

    /// See [`moves::lost`]: the plan of a loss is applied, and its report is the caller's to send.
    ///
    /// # Errors
    /// The ledger is out of reach.
    pub async fn lost(&self, id: &LaunchId, evidence: Evidence, now: Timestamp) -> Result<Loss, AwsError> {
        for _ in 0..TRIES {
            let Some(launch) = self.launch(id).await? else {
                return Ok(Loss::NotLost(format!("there is no launch {id}")));
            };
            let job = self.job_of(&launch).await?;
            let loss = moves::lost(&launch, job.as_ref(), evidence, now);
            let Loss::Lost { plan, .. } = &loss else { return Ok(loss) };
            if self.0.apply(plan).await? == Applied::All {
                return Ok(loss);
            }
        }
        Err(AwsError::Contended(id.pk()))
    }

    /// See [`moves::debt`]: a debt that is forgiven is written off.
    ///
    /// # Errors
    /// The ledger is out of reach.
    pub async fn debt(&self, id: &LaunchId, now: Timestamp) -> Result<Option<(LaunchRow, Debt)>, AwsError> {
        for _ in 0..TRIES {
            let Some(launch) = self.launch(id).await? else { return Ok(None) };
            let job = self.job_of(&launch).await?;
            let debt = moves::debt(&launch, job.as_ref(), now);
            let Debt::Forgiven(plan) = &debt else { return Ok(Some((launch, debt))) };
            if self.0.apply(plan).await? == Applied::All {
                return Ok(Some((launch, debt)));
            }
        }
        Err(AwsError::Contended(id.pk()))
    }

    /// See [`moves::settle`]: a plan that it has is applied.
    ///
    /// # Errors
    /// The ledger is out of reach.
    pub async fn settle(&self, job: JobKey, now: Timestamp) -> Result<Settlement, AwsError> {
        self.settle_about(job, None, now).await
    }

    /// See [`moves::settle`], of a job that this launch probably has.
    ///
    /// # Errors
    /// The ledger is out of reach.
    pub async fn settle_about(
        &self,
        job: JobKey,
        mut about: Option<LaunchId>,
        now: Timestamp,
    ) -> Result<Settlement, AwsError> {
        for _ in 0..TRIES {
            let keys = [RowKey::Job(job)].into_iter().chain(about.clone().map(RowKey::Launch));
            let rows = self.0.load(&keys.collect::<Vec<_>>()).await?;
            let Some(row) = rows.job(job)? else {
                return Ok(Settlement::Nothing("there is no row of this job".into()));
            };
            let launch = match &row.launch {
                // One that does not have the job may be older than the job's row.
                Some(id) => match rows.launch(id)?.filter(|launch| launch.bound_job == Some(job)) {
                    Some(launch) => Some(launch),
                    None => self.launch(id).await?,
                },
                None => None,
            };
            about = row.launch.clone();
            let settlement = moves::settle(&row, launch.as_ref(), now);
            let nothing = Plan::default();
            let plan = match &settlement {
                Settlement::Retire(plan) | Settlement::EndsItself(plan) | Settlement::Stop { plan, .. } => plan,
                Settlement::Nothing(_) => &nothing,
            };
            if self.0.apply(plan).await? == Applied::All {
                return Ok(settlement);
            }
        }
        Err(AwsError::Contended(job.pk()))
    }

    /// See [`moves::cleared`]. Whether it was written: a launch that is not over, or was cleared before, is left as it is.
    ///
    /// # Errors
    /// The ledger is out of reach.
    pub async fn cleared(&self, id: &LaunchId, why: &str, now: Timestamp) -> Result<bool, AwsError> {
        for _ in 0..TRIES {
            let Some(plan) = self.launch(id).await?.and_then(|launch| moves::cleared(&launch, why, now)) else {
                return Ok(false);
            };
            if self.0.apply(&plan).await? == Applied::All {
                return Ok(true);
            }
        }
        Err(AwsError::Contended(id.pk()))
    }
}

/// What concluding a launch came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Concluded {
    /// It had been over before.
    WasOver,
    /// It is over now.
    Now,
    /// It is over now, and it was one launch in vain too many for this job: worth an alarm.
    LeavesUnserved(JobKey),
}

/// The job that a plan makes unserved.
fn unserved(plan: &Plan) -> Option<JobKey> {
    let rows = plan.changes.iter().filter_map(|change| match &change.write {
        Write::Put(item) if change.pk.starts_with("job#") => decode::<JobRow>(item).ok(),
        _ => None,
    });
    rows.into_iter().find(|row| row.state == JobState::Unserved).map(|row| row.key())
}
