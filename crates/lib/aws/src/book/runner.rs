//! The moves of a launch's runner: it is started, begins, binds a job or gives it back, and lives.

use runnerless_core::change::{Plan, RowKey};
use runnerless_core::id::{JobKey, LaunchId};
use runnerless_core::job::JobRow;
use runnerless_core::launch::LaunchRow;
use runnerless_core::moves::{
    self, BeginRefused, BindRefused, BindRows, CheckInRefused, GiveBackRows, Got, RenewRefused,
};
use runnerless_core::time::Timestamp;

use super::{Book, MoveError, Pair, TRIES, contended};
use crate::error::AwsError;
use crate::ports::{Applied, Ledger};

impl<L: Ledger> Book<'_, L> {
    /// See [`moves::begin`]. Answers the launch as it was before.
    ///
    /// # Errors
    /// The runner must leave without asking GitLab, or the ledger is out of reach.
    pub async fn begin(
        &self,
        id: &LaunchId,
        nonce_sha256: &str,
        claim: &str,
        now: Timestamp,
    ) -> Result<LaunchRow, MoveError<BeginRefused>> {
        for _ in 0..TRIES {
            let launch = self.existing(id).await?;
            let plan = moves::begin(&launch, nonce_sha256, claim, now).map_err(MoveError::Refused)?;
            if self.0.apply(&plan).await? == Applied::All {
                return Ok(launch);
            }
        }
        Err(contended(id))
    }

    /// See [`moves::check_in`], of a launch whose row was just read. Answers it as it was before.
    ///
    /// # Errors
    /// The instance may not begin (now), or the ledger is out of reach.
    pub async fn check_in(
        &self,
        read: LaunchRow,
        instance: &str,
        claim: &str,
        nonce_sha256: &str,
        now: Timestamp,
    ) -> Result<LaunchRow, MoveError<CheckInRefused>> {
        let (id, mut read) = (&read.launch.clone(), Some(read));
        for _ in 0..TRIES {
            let launch = self.read_or(&mut read, id).await?;
            let plan = moves::check_in(&launch, instance, claim, nonce_sha256, now).map_err(MoveError::Refused)?;
            if self.0.apply(&plan).await? == Applied::All {
                return Ok(launch);
            }
        }
        Err(contended(id))
    }

    /// See [`moves::started`], of a launch whose row was just read or written.
    ///
    /// # Errors
    /// The ledger is out of reach.
    pub async fn started(&self, read: LaunchRow, now: Timestamp) -> Result<(), AwsError> {
        let (id, mut read) = (&read.launch.clone(), Some(read));
        for _ in 0..TRIES {
            let launch = match read.take() {
                Some(launch) => Some(launch),
                None => self.launch(id).await?,
            };
            let Some(plan) = launch.and_then(|launch| moves::started(&launch, now)) else { return Ok(()) };
            if self.0.apply(&plan).await? == Applied::All {
                return Ok(());
            }
        }
        Err(AwsError::Contended(id.pk()))
    }

    /// See [`moves::bind`]. Answers the launch as it stands then.
    ///
    /// # Errors
    /// The runner must give the job back, or the ledger is out of reach, which comes to the same.
    pub async fn bind(
        &self,
        id: &LaunchId,
        got: impl Into<Got>,
        now: Timestamp,
    ) -> Result<LaunchRow, MoveError<BindRefused>> {
        self.bind_from(id, None, got.into(), now).await
    }

    /// See [`moves::bind`], of a launch whose row was just read.
    ///
    /// # Errors
    /// The runner must give the job back, or the ledger is out of reach, which comes to the same.
    pub async fn bind_read(
        &self,
        read: Pair,
        got: impl Into<Got>,
        now: Timestamp,
    ) -> Result<LaunchRow, MoveError<BindRefused>> {
        self.bind_from(&read.launch.launch.clone(), Some(read), got.into(), now).await
    }

    async fn bind_from(
        &self,
        id: &LaunchId,
        mut read: Option<Pair>,
        said: Got,
        now: Timestamp,
    ) -> Result<LaunchRow, MoveError<BindRefused>> {
        let job = said.job;
        for _ in 0..TRIES {
            let pair = match read.take().filter(|pair| pair.about == Some(job)) {
                Some(pair) => Some(pair),
                None => self.pair(id, Some(job)).await?,
            };
            let Pair { launch, rows, .. } = pair.ok_or_else(|| MoveError::NoLaunch(id.clone()))?;
            let got = rows.job(job)?;
            let (gots_charge, charged) = self.neighbours(&launch, got.as_ref(), job).await?;
            let rows = BindRows {
                launch: &launch,
                got: got.as_ref(),
                gots_charge: gots_charge.as_ref(),
                charged: charged.as_ref(),
            };
            let plan = moves::bind(rows, said.clone(), now).map_err(MoveError::Refused)?;
            if self.0.apply(&plan).await? == Applied::All {
                return Ok(plan.leaves(&id.pk()).unwrap_or(launch));
            }
        }
        Err(contended(id))
    }

    /// The launch that is charged to the job that was got, and the row of the job that this launch is charged to.
    async fn neighbours(
        &self,
        launch: &LaunchRow,
        got: Option<&JobRow>,
        job: JobKey,
    ) -> Result<(Option<LaunchRow>, Option<JobRow>), AwsError> {
        let spare = got.and_then(|row| row.charge.clone()).filter(|charge| *charge != launch.launch);
        let other = launch.charged_to.filter(|charged| *charged != job);
        let keys: Vec<RowKey> = spare.clone().map(RowKey::Launch).into_iter().chain(other.map(RowKey::Job)).collect();
        if keys.is_empty() {
            return Ok((None, None));
        }
        let rows = self.0.load(&keys).await?;
        let spare = spare.map_or(Ok(None), |id| rows.launch(&id))?;
        let other = other.map_or(Ok(None), |key| rows.job(key))?;
        Ok((spare, other))
    }

    /// See [`moves::give_back`].
    ///
    /// # Errors
    /// The ledger is out of reach.
    pub async fn give_back(&self, id: &LaunchId, job: JobKey, why: &str, now: Timestamp) -> Result<(), AwsError> {
        for _ in 0..TRIES {
            let rows = self.0.load(&[RowKey::Launch(id.clone()), RowKey::Job(job)]).await?;
            let Some(launch) = rows.launch(id)? else { return Ok(()) };
            let got = rows.job(job)?;
            let charged = match launch.charged_to.filter(|charged| *charged != job) {
                Some(key) => self.0.load(&[RowKey::Job(key)]).await?.job(key)?,
                None => None,
            };
            let rows = GiveBackRows { launch: &launch, got: got.as_ref(), charged: charged.as_ref() };
            let plan = moves::give_back(rows, why, now);
            if self.0.apply(&plan).await? == Applied::All {
                return Ok(());
            }
        }
        Err(AwsError::Contended(id.pk()))
    }

    /// See [`moves::renew`]. Answers the launch as it stands then.
    ///
    /// # Errors
    /// The launch is not bound any more, or the ledger is out of reach.
    pub async fn renew(&self, id: &LaunchId, now: Timestamp) -> Result<LaunchRow, MoveError<RenewRefused>> {
        self.renew_from(id, None, now).await
    }

    /// See [`moves::renew`], of a launch whose row may be known as it was bound or renewed: it is read only if somebody else
    /// has written it since.
    ///
    /// # Errors
    /// The launch is not bound any more, or the ledger is out of reach.
    pub async fn renew_from(
        &self,
        id: &LaunchId,
        read: Option<LaunchRow>,
        now: Timestamp,
    ) -> Result<LaunchRow, MoveError<RenewRefused>> {
        self.sign_of_life(id, read, moves::renew, now).await
    }

    /// See [`moves::alive`], in the same way.
    ///
    /// # Errors
    /// The launch is not bound any more, or the ledger is out of reach.
    pub async fn alive_from(
        &self,
        id: &LaunchId,
        read: Option<LaunchRow>,
        now: Timestamp,
    ) -> Result<LaunchRow, MoveError<RenewRefused>> {
        self.sign_of_life(id, read, moves::alive, now).await
    }

    async fn sign_of_life(
        &self,
        id: &LaunchId,
        mut read: Option<LaunchRow>,
        decide: impl Fn(&LaunchRow, Timestamp) -> Result<Plan, RenewRefused>,
        now: Timestamp,
    ) -> Result<LaunchRow, MoveError<RenewRefused>> {
        for _ in 0..TRIES {
            let is_known = read.is_some();
            let launch = self.read_or(&mut read, id).await?;
            let plan = match decide(&launch, now) {
                // A row that was not read for this is only where a write starts: nothing is refused or answered by it.
                Err(_) if is_known => continue,
                Ok(plan) if is_known && plan.changes.is_empty() => continue,
                decided => decided.map_err(MoveError::Refused)?,
            };
            if self.0.apply(&plan).await? == Applied::All {
                return Ok(plan.leaves(&id.pk()).unwrap_or(launch));
            }
        }
        Err(contended(id))
    }
}
