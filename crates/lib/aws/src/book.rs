//! The moves on the ledger: load what a decision needs, decide, apply, and start again when somebody was faster.
//!
//! Nothing is decided here. Each function is the one place where a move's rows are chosen, so that the executor, `claim`,
//! the router, the terminator and the sweep make the same move in the same way.

use runnerless_core::change::{BadRow, Plan, RowKey, Write, decode};
use runnerless_core::id::{JobKey, LaunchId};
use runnerless_core::job::{JobRow, JobState};
use runnerless_core::lane_row::{LaneRow, RunnerRow, lane_pk};
use runnerless_core::launch::LaunchRow;
use runnerless_core::moves::{
    self, BeginRefused, BindRefused, BindRows, CheckInRefused, CloseRefused, Debt, End, Evidence, GiveBackRows, Got,
    Introduction, Loss, RenewRefused, Settlement,
};
use runnerless_core::time::Timestamp;

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
                Some(key) => self.job_with(&pair, key).await?,
                None => None,
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

fn contended<R: std::error::Error + 'static>(id: &LaunchId) -> MoveError<R> {
    MoveError::Ledger(AwsError::Contended(id.pk()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::FakeLedger;
    use runnerless_core::job::{JobEvent, JobFacts};
    use runnerless_core::lane::{Engine, Lane, TagSet};
    use runnerless_core::launch::LaunchState;
    use runnerless_core::moves::{Start, charge, record};
    use runnerless_core::status::JobStatus;
    use runnerless_core::time::Millis;

    const T0: Timestamp = Timestamp(1_789_373_730_000);

    fn key(job: u64) -> JobKey {
        JobKey { project: 1, job }
    }

    fn id(text: &str) -> LaunchId {
        LaunchId::new(text)
    }

    async fn charged(ledger: &FakeLedger, job: u64, launch: &str) {
        let event = JobEvent {
            key: key(job),
            status: JobStatus::Pending,
            facts: JobFacts::default(),
            created_at: Some(T0),
            runner: None,
        };
        ledger.apply(&record(None, &event, T0).plan).await.unwrap();
        let row = ledger.load(&[RowKey::Job(key(job))]).await.unwrap().job(key(job)).unwrap().unwrap();
        let lane = Lane { tags: TagSet::default(), engine: Engine::Lambda, target: "arn".into(), run_untagged: true };
        let start = Start {
            launch: id(launch),
            nonce_sha256: "hash".into(),
            system_id: "r_x".into(),
            request: "{}".into(),
            isolated: false,
            by_default: false,
            longest: None,
        };
        ledger.apply(&charge(&row, &lane, start, "test", T0).unwrap()).await.unwrap();
    }

    async fn job(ledger: &FakeLedger, job: u64) -> JobRow {
        ledger.load(&[RowKey::Job(key(job))]).await.unwrap().job(key(job)).unwrap().unwrap()
    }

    #[tokio::test]
    async fn a_launch_that_gets_another_job_leaves_its_own_to_the_others_launch() {
        let ledger = FakeLedger::default();
        charged(&ledger, 1, "l-1").await;
        charged(&ledger, 2, "l-2").await;
        let book = Book(&ledger);
        book.begin(&id("l-1"), "hash", "c", T0).await.unwrap();
        book.bind(&id("l-1"), key(2), T0).await.unwrap();
        assert_eq!(job(&ledger, 2).await.launch, Some(id("l-1")));
        assert_eq!(job(&ledger, 1).await.charge, Some(id("l-2")), "the spare launch serves the first job");
        assert_eq!(book.launch(&id("l-2")).await.unwrap().unwrap().charged_to, Some(key(1)));
        book.conclude(&id("l-1"), &End::JobDone("done".into()), T0).await.unwrap();
        assert_eq!(job(&ledger, 1).await.state, JobState::Charged, "the end of one touches the other in nothing");
    }

    #[tokio::test]
    async fn a_launch_and_the_job_that_it_is_about_are_one_read() {
        let ledger = FakeLedger::default();
        charged(&ledger, 1, "l-1").await;
        charged(&ledger, 2, "l-2").await;
        let (book, end) = (Book(&ledger), End::JobDone("done".into()));
        for (own, launch, about, reads) in [(1, "l-1", 1, 1), (2, "l-2", 1, 2)] {
            let (launch, about) = (id(launch), Some(key(about)));
            let earlier = book.pair(&launch, Some(key(own))).await.unwrap().unwrap();
            assert!(earlier.job_that_names_it(key(own)).unwrap().is_some());
            book.begin(&launch, "hash", "c", T0).await.unwrap();
            let bound = book.bind(&launch, key(own), T0).await.unwrap();
            let torn = Pair { launch: bound.clone(), ..earlier };
            assert_eq!(torn.job_that_names_it(key(own)).unwrap(), None, "its row is older than the binding");
            assert_eq!(Some(bound), book.launch(&launch).await.unwrap(), "as it stands");
            let before = ledger.calls();
            book.conclude_about(&launch, about, &end, T0).await.unwrap();
            assert_eq!(ledger.calls() - before, reads + 1, "{launch}: a wrong guess costs a read");
            assert_eq!(book.launch(&launch).await.unwrap().unwrap().state, LaunchState::Closed);
        }
        assert!(job(&ledger, 2).await.due.next_check_at.is_some_and(|at| at > T0), "of its own job, not of the guess");
    }

    #[tokio::test]
    async fn a_conflict_is_decided_again_and_a_lost_answer_is_no_refusal() {
        let ledger = FakeLedger::default();
        charged(&ledger, 1, "l-1").await;
        let book = Book(&ledger);
        ledger.conflict(2);
        book.begin(&id("l-1"), "hash", "c", T0).await.unwrap();
        ledger.lose_answers(1);
        assert!(book.bind(&id("l-1"), key(1), T0).await.is_err());
        book.bind(&id("l-1"), key(1), T0).await.unwrap();
        assert_eq!(book.launch(&id("l-1")).await.unwrap().unwrap().state, LaunchState::Bound);
    }

    #[tokio::test]
    async fn a_sign_of_life_after_another_is_one_write_and_one_that_meets_somebody_elses_is_decided_anew() {
        let ledger = FakeLedger::default();
        charged(&ledger, 1, "l-1").await;
        let (book, l1, at) = (Book(&ledger), id("l-1"), |secs| T0 + Millis::secs(secs));
        book.begin(&l1, "hash", "c", T0).await.unwrap();
        let bound = book.bind(&l1, key(1), T0).await.unwrap();
        let before = ledger.calls();
        let alive = book.alive_from(&l1, Some(bound.clone()), at(10)).await.unwrap();
        let renewed = book.renew_from(&l1, Some(alive.clone()), at(20)).await.unwrap();
        assert_eq!(ledger.calls() - before, 2);
        assert_eq!((alive.accepted, renewed.accepted, renewed.rev), (false, true, bound.rev + 2));
        assert_eq!(book.launch(&l1).await.unwrap(), Some(renewed.clone()));
        // The sweep took it for lost meanwhile.
        let gone = LaunchRow { state: LaunchState::Closed, rev: renewed.rev, ..renewed.clone() };
        ledger.apply(&Plan::default().with_some(runnerless_core::change::put(Some(&renewed), gone))).await.unwrap();
        // Also where there would be nothing to write, or something to refuse, by what is known.
        let polling = LaunchRow { state: LaunchState::Polling, ..renewed.clone() };
        for (known, now) in [(renewed.clone(), at(30)), (renewed, at(20)), (polling, at(30))] {
            let refused = book.renew_from(&l1, Some(known), now).await;
            let closed = RenewRefused::NotBound(LaunchState::Closed);
            assert!(matches!(&refused, Err(MoveError::Refused(why)) if *why == closed), "{refused:?}");
        }
    }

    #[tokio::test]
    async fn a_bind_and_a_close_exclude_each_other() {
        let ledger = FakeLedger::default();
        charged(&ledger, 1, "l-1").await;
        let book = Book(&ledger);
        book.begin(&id("l-1"), "hash", "c", T0).await.unwrap();
        book.close(&id("l-1"), Evidence::HostGone, "gone", T0).await.unwrap();
        assert!(matches!(book.bind(&id("l-1"), key(1), T0).await, Err(MoveError::Refused(BindRefused::NotPolling(_)))));
    }

    #[tokio::test]
    async fn the_launch_in_vain_that_is_one_too_many_is_said() {
        let ledger = FakeLedger::default();
        charged(&ledger, 1, "l-1").await;
        let book = Book(&ledger);
        let row = JobRow { fruitless: 2, rev: 3, ..job(&ledger, 1).await };
        ledger
            .apply(&Plan::default().with_some(runnerless_core::change::put(Some(&job(&ledger, 1).await), row)))
            .await
            .unwrap();
        let end = End::Fruitless("no job came".into());
        assert_eq!(book.conclude(&id("l-1"), &end, T0).await.unwrap(), Concluded::LeavesUnserved(key(1)));
        assert_eq!(book.conclude(&id("l-1"), &end, T0).await.unwrap(), Concluded::WasOver);
    }

    #[tokio::test]
    async fn what_is_not_there_is_said() {
        let ledger = FakeLedger::default();
        let book = Book(&ledger);
        assert!(matches!(book.begin(&id("l-9"), "h", "c", T0).await, Err(MoveError::NoLaunch(_))));
        assert_eq!(book.conclude(&id("l-9"), &End::Fruitless("x".into()), T0).await.unwrap(), Concluded::WasOver);
        assert!(matches!(book.settle(key(9), T0).await.unwrap(), Settlement::Nothing(_)));
    }
}
