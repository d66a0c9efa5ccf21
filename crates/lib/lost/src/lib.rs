//! Lost launches: written off in the ledger, and their jobs reported to GitLab.
//!
//! A launch whose runner died with a job is a job that nobody ends: GitLab would wait an hour for a sign of life. Whoever
//! notices (the terminator by AWS's failure record, a second delivery of the launch's event, the sweep) writes the
//! launch off and tells GitLab with the job's own token, which the runner left in the launch's row. First the ledger, then
//! GitLab: a reporter that dies in between leaves a debt, which the sweep pays.

pub mod fake;
mod reporter;

use runnerless_aws::book::Book;
use runnerless_aws::job_token::{SealError, TokenSeal};
use runnerless_aws::ports::{Ledger, Parameters};
use runnerless_aws::{AwsError, TokenError, launch_token};
use runnerless_core::chain::chain;
use runnerless_core::id::{JobKey, LaunchId};
use runnerless_core::launch::LaunchRow;
use runnerless_core::moves::{self, Debt, Evidence, Loss};
use runnerless_core::sealed::SealedToken;
use runnerless_core::time::Timestamp;
use runnerless_gitlab::protocol::Secret;

pub use reporter::{Answer, OnDemand, Reporter};

/// What it takes to write off a launch and to report its job.
#[derive(Debug)]
pub struct LostJobs<'a, L, P, R> {
    /// The ledger.
    pub ledger: &'a L,
    /// Parameter Store, for the lane's token: it opens the job's.
    pub parameters: &'a P,
    /// The stack's parameter path.
    pub parameter_path: &'a str,
    /// GitLab.
    pub reporter: &'a R,
}

/// What came of a launch that was taken for lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written {
    /// It is not lost, for this reason.
    NotLost(String),
    /// It is, and this is what its job's end came to.
    Lost(Told),
}

/// What GitLab was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// Nothing, because nothing is owed.
    Nothing(String),
    /// That this job failed.
    Failed(JobKey),
    /// GitLab knew of this job's end already.
    Known(JobKey),
    /// Nothing yet: the sweep tells it.
    Later(JobKey, String),
    /// Nothing, and nobody can: GitLab ends this job by its own rule. Worth an operator's look.
    Never(JobKey, String),
}

impl Told {
    /// The job that lost its runner.
    #[must_use]
    pub const fn job(&self) -> Option<JobKey> {
        match self {
            Self::Nothing(_) => None,
            Self::Failed(job) | Self::Known(job) | Self::Later(job, _) | Self::Never(job, _) => Some(*job),
        }
    }

    /// For people.
    #[must_use]
    pub fn sentence(&self) -> String {
        match self {
            Self::Nothing(why) => why.clone(),
            Self::Failed(job) => format!("job {job} was reported as failed"),
            Self::Known(job) => format!("GitLab had ended job {job} already"),
            Self::Later(job, why) => format!("job {job} is reported later: {why}"),
            Self::Never(job, why) => format!("job {job} cannot be reported: {why}"),
        }
    }
}

impl<L: Ledger, P: Parameters, R: Reporter> LostJobs<'_, L, P, R> {
    /// Writes a launch off, if it is lost, and tells GitLab.
    ///
    /// # Errors
    /// The ledger is out of reach.
    pub async fn lose(&self, id: &LaunchId, evidence: Evidence, now: Timestamp) -> Result<Written, AwsError> {
        match Book(self.ledger).lost(id, evidence, now).await? {
            Loss::NotLost(why) => Ok(Written::NotLost(why)),
            Loss::Lost { report: None, plan } => Ok(Written::Lost(Told::Nothing(plan.reason))),
            Loss::Lost { report: Some(job), .. } => Ok(Written::Lost(match self.pay(id, now).await? {
                // The launch left nothing to tell it with.
                Told::Nothing(_) => Told::Never(job, "its runner left no token to report it with".to_owned()),
                told => told,
            })),
        }
    }

    /// Tells GitLab what a launch still owes it, and writes down that it did.
    ///
    /// # Errors
    /// The ledger is out of reach.
    pub async fn pay(&self, id: &LaunchId, now: Timestamp) -> Result<Told, AwsError> {
        let (launch, job, token) = match Book(self.ledger).debt(id, now).await? {
            None => return Ok(Told::Nothing(format!("there is no launch {id}"))),
            Some((_, Debt::Nothing)) => return Ok(Told::Nothing("nothing is owed".to_owned())),
            Some((_, Debt::Forgiven(plan))) => return Ok(Told::Nothing(plan.reason)),
            Some((launch, Debt::Report { job, token })) => (launch, job, token),
        };
        let told = self.tell(&launch, job, &token).await;
        let plan = match &told {
            Told::Later(..) => moves::unpaid(&launch, now),
            told => moves::paid(&launch, &told.sentence(), now),
        };
        // Who was faster with this row told GitLab the same.
        self.ledger.apply(&plan).await?;
        Ok(told)
    }

    async fn tell(&self, launch: &LaunchRow, job: JobKey, sealed: &SealedToken) -> Told {
        let token = match self.open(launch, job, sealed).await {
            Ok(token) => token,
            Err(Closed::ForNow(why)) => return Told::Later(job, why),
            Err(Closed::ForGood(why)) => return Told::Never(job, why),
        };
        match self.reporter.failed(job.job, &token).await {
            Answer::Taken => Told::Failed(job),
            Answer::Over(why) => {
                let key = job.to_string();
                tracing::info!(target: "runnerless", why, "job.key" = key, "GitLab takes no report of this job");
                Told::Known(job)
            }
            Answer::Later(why) => Told::Later(job, why),
        }
    }

    async fn open(&self, launch: &LaunchRow, job: JobKey, sealed: &SealedToken) -> Result<Secret, Closed> {
        let read = launch_token(self.parameters, self.parameter_path, launch).await;
        let runner = read.map_err(|error| match error {
            TokenError::Unread { .. } => Closed::ForNow(chain(&error)),
            TokenError::Missing(_) | TokenError::Registration(_) | TokenError::Sealed(_) => {
                Closed::ForGood(chain(&error))
            }
        })?;
        let for_good = |error: SealError| Closed::ForGood(error.to_string());
        let seal = TokenSeal::new(&runner, &launch.launch).map_err(for_good)?;
        Ok(Secret::new(seal.open(job, sealed).map_err(for_good)?.as_str()))
    }
}

/// Why a stored token cannot be used.
enum Closed {
    ForNow(String),
    ForGood(String),
}
