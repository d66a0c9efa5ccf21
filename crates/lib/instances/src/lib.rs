//! The end of instances: what is left of a launch that is over is removed, and then its row is closed.
//!
//! Left are the instance, which costs money, and the record of its runner manager at GitLab. Whoever ends a launch writes
//! first that it is over (`closing`, due for the sweep), and then comes here: terminator and sweep do. What cannot be done
//! now leaves the row due, and the sweep comes again.

use runnerless_aws::book::Book;
use runnerless_aws::clock::{Clock, within};
use runnerless_aws::ports::{Applied, Ledger, Parameters};
use runnerless_aws::{AwsError, TokenError, runner_token};
use runnerless_aws_ec2::{Fleet, Terminated};
use runnerless_core::chain::chain;
use runnerless_core::id::LaunchId;
use runnerless_core::launch::LaunchRow;
use runnerless_core::moves::Ours;
use runnerless_core::time::{Millis, Timestamp};
use runnerless_core::{limits, moves};
use runnerless_gitlab::protocol::{Forgotten, Runners, Secret};

/// How long GitLab is waited for: what it does not do in time is the sweep's.
const PATIENCE: Millis = Millis::secs(5);

/// What it takes to end an instance.
#[derive(Debug)]
pub struct Instances<'a, L, P, F, G, C> {
    /// The ledger.
    pub ledger: &'a L,
    /// Parameter Store, for the lane's token: it removes the manager.
    pub parameters: &'a P,
    /// The stack's parameter path.
    pub parameter_path: &'a str,
    /// EC2.
    pub fleet: &'a F,
    /// GitLab.
    pub runners: &'a G,
    /// The time.
    pub clock: &'a C,
}

/// The side of instances: EC2, GitLab as it knows their runner managers, and what this stack's instances look like.
#[derive(Clone, Copy, Debug)]
pub struct Ec2<'a, F, G> {
    /// EC2.
    pub fleet: &'a F,
    /// GitLab.
    pub runners: &'a G,
    /// What instances of this stack look like; `None` in a stack that launches none.
    pub ours: Option<&'a Ours>,
}

/// What came of ending a launch's instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cleared {
    /// Nothing of it is left.
    Now(String),
    /// Nothing was to be done: the launch is not over, has no instance, or was cleared before.
    NotNeeded(String),
    /// Its instance ends, and its runner manager could not be removed yet: the sweep tries again.
    Left(String),
}

impl<L: Ledger, P: Parameters, F: Fleet, G: Runners, C: Clock> Instances<'_, L, P, F, G, C> {
    /// Ends the instance of a launch that is over, removes its runner manager, and closes its row.
    ///
    /// # Errors
    /// EC2 did not take it, or the ledger is out of reach: the launch's row stays due.
    pub async fn clear(&self, id: &LaunchId, now: Timestamp) -> Result<Cleared, AwsError> {
        match Book(self.ledger).launch(id).await? {
            Some(launch) => self.clear_row(&launch, now).await,
            None => Ok(Cleared::NotNeeded(format!("there is no launch {id}"))),
        }
    }

    async fn clear_row(&self, launch: &LaunchRow, now: Timestamp) -> Result<Cleared, AwsError> {
        let (true, Some(instance)) = (launch.is_winding_up(), &launch.instance_id) else {
            return Ok(Cleared::NotNeeded(format!("the launch is {:?}", launch.state)));
        };
        // The instance first: it costs money, and while it lives its runner could make the manager's record again.
        let ended = match self.fleet.terminate(instance).await {
            Ok(Terminated::Asked) => format!("{instance} is terminated"),
            Ok(Terminated::Gone) => format!("{instance} was gone"),
            Err(error) => match self.has_ended(instance).await {
                true => format!("{instance} had ended"),
                false => return Err(error),
            },
        };
        let why = match self.forget(launch, now).await {
            Ok(manager) => format!("{ended}, {manager}"),
            Err(later) => return Ok(Cleared::Left(format!("{ended}, its runner manager is not removed yet: {later}"))),
        };
        let Some(plan) = moves::cleared(launch, &why, now) else { return Ok(Cleared::NotNeeded(why)) };
        if self.ledger.apply(&plan).await? == Applied::Conflict {
            Book(self.ledger).cleared(&launch.launch, &why, now).await?;
        }
        let (launch, reason) = (launch.launch.as_str(), why.as_str());
        tracing::info!(target: "runnerless", reason, "launch.id" = launch, "instance.id" = instance, "an instance is ended");
        Ok(Cleared::Now(why))
    }

    /// Whether EC2 shows the instance as ended, after it did not take its termination: instances power themselves off, and a
    /// lost answer was a deed. What EC2 does not show, or does not tell, has not ended.
    async fn has_ended(&self, instance: &str) -> bool {
        let shown = self.fleet.describe(instance).await;
        shown.ok().flatten().is_some_and(|shown| !shown.state.is_there())
    }

    /// Removes the record of the launch's runner manager. What came of it, or why it is to be tried again.
    async fn forget(&self, launch: &LaunchRow, now: Timestamp) -> Result<String, String> {
        let over = |why: String| Ok(format!("its runner manager cannot be removed: {why}"));
        let token = match runner_token(self.parameters, self.parameter_path, launch.engine, &launch.lane).await {
            Ok(token) => Secret::new(token.as_str()),
            Err(error @ TokenError::Unread { .. }) => return later(launch, chain(&error), now),
            Err(error @ (TokenError::Missing(_) | TokenError::Registration(_))) => return over(chain(&error)),
        };
        let asked = self.runners.forget(&token, &launch.system_id);
        match within(self.clock, PATIENCE, asked).await {
            Some(Forgotten::Gone) => Ok("its runner manager is removed".to_owned()),
            Some(Forgotten::Refused(why)) => over(why),
            Some(Forgotten::Unknown(why)) => later(launch, why, now),
            None => later(launch, format!("GitLab did not answer within {PATIENCE}"), now),
        }
    }
}

/// It is tried again, and not for ever: GitLab forgets a manager that is silent.
fn later(launch: &LaunchRow, why: String, now: Timestamp) -> Result<String, String> {
    let since = launch.times.closing_at.unwrap_or(now);
    match now - since > limits::MANAGER_LIMIT {
        true => Ok(format!("its runner manager is left to GitLab: {why}")),
        false => Err(why),
    }
}
