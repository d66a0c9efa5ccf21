//! One run.

use runnerless_aws::AwsError;
use runnerless_aws::ports::{Applied, Ledger};
use runnerless_aws_ec2::Pool;
use runnerless_core::pool::{Decision, PoolRow, Settings, decide, remember};
use runnerless_core::time::{Millis, Timestamp};
use runnerless_gitlab::metrics::Tables;
use runnerless_gitlab::rest::JobsApi;
use runnerless_lambda_kit::Clock;

use crate::act::Hand;
use crate::error::Error;
use crate::load::load;
use crate::pending::Waiting;
use crate::report::Report;

/// Time that is kept at the end of an invocation for the report.
const REPORT: Millis = Millis::secs(3);

/// What it takes to size a pool.
#[derive(Debug)]
pub struct Scaler<'a, L, P, M, J, C> {
    /// The group's name.
    pub group: &'a str,
    /// How it is sized.
    pub settings: &'a Settings,
    /// Where what is remembered is kept.
    pub ledger: &'a L,
    /// Auto Scaling.
    pub pool: &'a P,
    /// The members' metrics.
    pub tables: &'a M,
    /// GitLab's jobs API, or why there is none.
    pub jobs: Result<&'a J, &'a str>,
    /// Whose waiting jobs are the pool's.
    pub waiting: &'a Waiting,
    /// Time.
    pub clock: &'a C,
}

impl<L: Ledger, P: Pool, M: Tables, J: JobsApi, C: Clock> Scaler<'_, L, P, M, J, C> {
    /// Runs once. `run` names this run, like no other; `ends_at` is when the invocation ends.
    ///
    /// # Errors
    /// What it needs to know or to remember could not be had, and nothing was done; or all that was tried failed.
    pub async fn run(&self, run: &str, dry_run: bool, ends_at: Timestamp) -> Result<Report, Error> {
        let loaded = load(self).await?;
        let now = self.clock.now();
        let known = loaded.row.as_ref().map(|row| row.memory.clone()).unwrap_or_default();
        let decision = decide(now, self.settings, &loaded.group, &loaded.scrapes, &loaded.pending, &known);
        let mut report = Report::new(self.group, &decision, dry_run, !self.waiting.projects.is_empty());
        if dry_run {
            report.planned(&decision.actions);
        } else {
            match self.remember(run, loaded.row.as_ref(), &decision, now).await? {
                Applied::Conflict => report.lost(&decision.actions),
                Applied::All => Hand::new(self, ends_at - REPORT).act_on(&decision.actions, &mut report).await,
            }
            report.publish();
        }
        match report.is_failure() {
            true => Err(Error::NothingDone(report.counts.failed)),
            false => Ok(report),
        }
    }

    /// Stores what is to be remembered, if nobody did since it was read.
    async fn remember(
        &self,
        run: &str,
        row: Option<&PoolRow>,
        decision: &Decision,
        now: Timestamp,
    ) -> Result<Applied, AwsError> {
        self.ledger.apply(&remember(row, self.group, run, decision.memory.clone(), now)).await
    }
}
