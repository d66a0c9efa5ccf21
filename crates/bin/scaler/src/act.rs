//! What was decided, done.

use runnerless_aws::AwsError;
use runnerless_aws::ports::Ledger;
use runnerless_aws_ec2::Pool;
use runnerless_aws_ec2::pool::Left;
use runnerless_core::chain::chain;
use runnerless_core::pool::Action;
use runnerless_core::time::Timestamp;
use runnerless_gitlab::metrics::Tables;
use runnerless_gitlab::rest::JobsApi;
use runnerless_lambda_kit::{Clock, within};

use crate::report::{Done, Outcome, Report};
use crate::run::Scaler;

/// What acts in one run.
pub(crate) struct Hand<'a, 's, L, P, M, J, C> {
    scaler: &'a Scaler<'s, L, P, M, J, C>,
    until: Timestamp,
    /// A process that ends members whatever they run, and could not be suspended.
    loose: Option<&'static str>,
}

impl<'a, 's, L: Ledger, P: Pool, M: Tables, J: JobsApi, C: Clock> Hand<'a, 's, L, P, M, J, C> {
    pub(crate) const fn new(scaler: &'a Scaler<'s, L, P, M, J, C>, until: Timestamp) -> Self {
        Self { scaler, until, loose: None }
    }

    /// Does one thing after the other. What fails keeps nothing else from being done, but for what would not be safe then.
    pub(crate) async fn act_on(&mut self, actions: &[Action], report: &mut Report) {
        for action in actions {
            let outcome = self.act(action).await;
            if let (Action::Suspend { process }, Outcome::Failed(_) | Outcome::Left(_)) = (action, &outcome) {
                self.loose = Some(process);
            }
            report.add(action, outcome);
        }
    }

    async fn act(&self, action: &Action) -> Outcome {
        if let (Action::Retire { .. }, Some(process)) = (action, self.loose) {
            return Outcome::Left(format!("the group, with a member less, could end others by {process}"));
        }
        let now = self.scaler.clock.now();
        if now >= self.until {
            return Outcome::Left("the time was up".to_owned());
        }
        match within(self.scaler.clock, self.until - now, self.carry_out(action)).await {
            Some(Ok(done)) => Outcome::Done(done),
            Some(Err(error)) => {
                tracing::error!(target: "runnerless", group = self.scaler.group, action = %action,
                    "error.name" = error.name(), error = chain(&error), "an action failed");
                Outcome::Failed(error.name().to_owned())
            }
            None => Outcome::Left("the time was up, and it may have been done".to_owned()),
        }
    }

    async fn carry_out(&self, action: &Action) -> Result<Done, AwsError> {
        let Scaler { group, pool, .. } = self.scaler;
        match action {
            Action::Suspend { process } => pool.suspend(group, process).await.map(|()| Done::AsDecided),
            Action::Protect { ids } => pool.protect(group, ids).await.map(|()| Done::AsDecided),
            Action::Grow { to, .. } => self.grow(*to).await,
            Action::Retire { id, lower_desired, .. } => match pool.retire(id, *lower_desired).await? {
                Left::Asked => Ok(Done::AsDecided),
                Left::Gone => Ok(Done::NotNeeded("it is no member any more".to_owned())),
            },
            Action::Hold { .. } => Ok(Done::AsDecided),
        }
    }

    /// Seconds went by since the group was read, and somebody may have raised its desired capacity by hand: it is never lowered.
    /// Between this look and the call lies a moment in which that may still happen; then the next run finds too few members, as
    /// the group itself ends none that is protected.
    async fn grow(&self, to: u32) -> Result<Done, AwsError> {
        let Scaler { group, pool, .. } = self.scaler;
        let desired = pool.group(group).await?.map_or(0, |group| group.desired);
        if desired >= to {
            return Ok(Done::NotNeeded(format!("its desired capacity is {desired} by now")));
        }
        pool.set_desired(group, to).await.map(|()| Done::AsDecided)
    }
}
