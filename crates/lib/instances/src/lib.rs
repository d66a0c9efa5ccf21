//! The end of instances: what is left of a launch that is over is removed, and then its row is closed.
//!
//! Left are the instance, which costs money, and at GitLab the record of its runner manager, or the runner that was made for
//! this launch alone. Whoever ends a launch writes first that it is over (`closing`, due for the sweep), and then comes here: terminator and sweep do. What cannot be done
//! now leaves the row due, and the sweep comes again.

use runnerless_aws::book::Book;
use runnerless_aws::clock::{Clock, within};
use runnerless_aws::ports::{Applied, Ledger, Parameters};
use runnerless_aws::{AwsError, TokenError, launch_token};
use runnerless_aws_ec2::{Fleet, Terminated};
use runnerless_core::chain::chain;
use runnerless_core::change::Plan;
use runnerless_core::id::LaunchId;
use runnerless_core::launch::LaunchRow;
use runnerless_core::moves::{self, LeftRunner, Ours, gives_up_clearing, left_runner};
use runnerless_core::own_runner::own_runner_name;
use runnerless_core::time::{Millis, Timestamp};
use runnerless_gitlab::protocol::{Deleted, Forgotten, Runners, Secret};

/// How long GitLab is waited for: what it does not do in time is the sweep's.
const PATIENCE: Millis = Millis::secs(5);

/// What it takes to end an instance.
#[derive(Debug)]
pub struct Instances<'a, L, P, F, G, C> {
    /// The ledger.
    pub ledger: &'a L,
    /// Parameter Store, for the token that removes manager or runner.
    pub parameters: &'a P,
    /// The stack's parameter path.
    pub parameter_path: &'a str,
    /// EC2.
    pub fleet: &'a F,
    /// GitLab.
    pub runners: &'a G,
    /// The time.
    pub clock: &'a C,
    /// Who has the instance ended.
    pub service: &'static str,
    /// How it tells an operator of a runner that may be left.
    pub tells: fn(service: &'static str, why: &str),
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
    /// Its instance ends, and its runner manager, or its own runner, could not be removed yet: the sweep tries again.
    Left(String),
    /// Nothing of it is left that we could end: a runner may be at GitLab, which an operator was told of.
    Unaccounted(String),
}

impl<L: Ledger, P: Parameters, F: Fleet, G: Runners, C: Clock> Instances<'_, L, P, F, G, C> {
    /// Ends the instance of a launch that is over, removes its runner manager, and closes its row.
    ///
    /// # Errors
    /// EC2 did not take it, or the ledger is out of reach: the launch's row stays due.
    pub async fn clear(&self, id: &LaunchId, now: Timestamp) -> Result<Cleared, AwsError> {
        match Book(self.ledger).launch(id).await? {
            Some(launch) => self.clear_read(&launch, &Plan::default(), now).await,
            None => Ok(Cleared::NotNeeded(format!("there is no launch {id}"))),
        }
    }

    /// The same, of a launch whose row was just read or written. `rest` is what else is left to write of it: together with
    /// the clearing, or alone where that has to wait.
    ///
    /// # Errors
    /// As above.
    pub async fn clear_read(&self, launch: &LaunchRow, rest: &Plan, now: Timestamp) -> Result<Cleared, AwsError> {
        let (why, is_unaccounted) = match self.undo(launch, now).await {
            Ok(Undone::All { why, is_unaccounted }) => (why, is_unaccounted),
            Ok(Undone::Not(cleared)) => return self.ledger.apply(rest).await.map(|_| cleared),
            Err(error) => return self.ledger.apply(rest).await.and(Err(error)),
        };
        if is_unaccounted {
            // Before the row is closed: nobody comes again after that. Who dies in between leaves it to be told twice.
            (self.tells)(self.service, &why);
        }
        let mut plan = moves::cleared(launch, &why, now).unwrap_or_else(|| Plan::because(why.as_str()));
        plan.changes.extend(rest.changes.iter().cloned());
        if self.ledger.apply(&plan).await? == Applied::Conflict {
            Book(self.ledger).cleared(&launch.launch, &why, now).await?;
            // A row that somebody else wrote is due still, and settled by the sweep.
            self.ledger.apply(rest).await?;
        }
        let (id, reason) = (launch.launch.as_str(), why.as_str());
        tracing::info!(target: "runnerless", reason, "launch.id" = id, "an ended launch is cleared");
        Ok(if is_unaccounted { Cleared::Unaccounted(why) } else { Cleared::Now(why) })
    }

    /// Ends what the launch left, at EC2 and at GitLab.
    async fn undo(&self, launch: &LaunchRow, now: Timestamp) -> Result<Undone, AwsError> {
        if !launch.is_winding_up() {
            return Ok(Undone::Not(Cleared::NotNeeded(format!("the launch is {:?}", launch.state))));
        }
        // The instance first: it costs money, and while it lives its runner could make the manager's record again.
        let ended = match &launch.instance_id {
            Some(instance) => self.end(instance).await?,
            None => "it has no instance".to_owned(),
        };
        let (runner, is_unaccounted) = match self.remove(launch, now).await {
            Removed::Done(what) => (what, false),
            Removed::Never(what) => (what, true),
            Removed::Later(why) if gives_up_clearing(launch, now) => {
                (format!("GitLab could not be reached: {why}"), launch.own_runner.is_some())
            }
            Removed::Later(why) => {
                let left = format!("{ended}, and at GitLab it is not removed yet: {why}");
                return Ok(Undone::Not(Cleared::Left(left)));
            }
        };
        Ok(Undone::All { why: format!("{ended}, {runner}"), is_unaccounted })
    }

    /// Ends the instance, and says what came of it.
    async fn end(&self, instance: &str) -> Result<String, AwsError> {
        Ok(match self.fleet.terminate(instance).await {
            Ok(Terminated::Asked) => format!("{instance} is terminated"),
            Ok(Terminated::Gone) => format!("{instance} was gone"),
            Err(error) => match self.has_ended(instance).await {
                true => format!("{instance} had ended"),
                false => return Err(error),
            },
        })
    }

    /// Whether EC2 shows the instance as ended, after it did not take its termination: instances power themselves off, and a
    /// lost answer was a deed. What EC2 does not show, or does not tell, has not ended.
    async fn has_ended(&self, instance: &str) -> bool {
        let shown = self.fleet.describe(instance).await;
        shown.ok().flatten().is_some_and(|shown| !shown.state.is_there())
    }

    /// Removes at GitLab what the launch left there.
    async fn remove(&self, launch: &LaunchRow, now: Timestamp) -> Removed {
        match left_runner(launch, now) {
            LeftRunner::None => self.forget(launch).await,
            LeftRunner::Delete(id, _) => self.unregister(launch, id).await,
            LeftRunner::NotYet => Removed::Later("the answer that names its runner may still come".to_owned()),
            LeftRunner::Unaccounted => {
                let name = own_runner_name(&launch.launch);
                Removed::Never(format!(
                    "GitLab did not say whether it made its runner: look for {name:?} and delete it"
                ))
            }
        }
    }

    /// Removes the record of the launch's runner manager.
    async fn forget(&self, launch: &LaunchRow) -> Removed {
        let token = match launch_token(self.parameters, self.parameter_path, launch).await {
            Ok(token) => Secret::new(token.as_str()),
            Err(error @ TokenError::Unread { .. }) => return Removed::Later(chain(&error)),
            Err(error) => return not_removed(&chain(&error)),
        };
        let asked = self.runners.forget(&token, &launch.system_id);
        match within(self.clock, PATIENCE, asked).await {
            Some(Forgotten::Gone) => Removed::Done("its runner manager is removed".to_owned()),
            Some(Forgotten::Refused(why)) => not_removed(&why),
            Some(Forgotten::Unknown(why)) => Removed::Later(why),
            None => Removed::Later(late()),
        }
    }

    /// Deletes the runner that was made for the launch, and its manager with it.
    async fn unregister(&self, launch: &LaunchRow, id: u64) -> Removed {
        let token = match launch_token(self.parameters, self.parameter_path, launch).await {
            Ok(token) => Secret::new(token.as_str()),
            Err(error @ TokenError::Unread { .. }) => return Removed::Later(chain(&error)),
            Err(error) => return Removed::Never(format!("its runner {id} cannot be deleted: {}", chain(&error))),
        };
        match within(self.clock, PATIENCE, self.runners.unregister(&token)).await {
            Some(Deleted::Gone) => Removed::Done(format!("its runner {id} is deleted")),
            // An answer was lost, or somebody deleted it by hand.
            Some(Deleted::Stranger(_)) => Removed::Done(format!("its runner {id} was gone")),
            Some(Deleted::Unknown(why)) => Removed::Later(why),
            None => Removed::Later(late()),
        }
    }
}

/// What came of ending what a launch left.
enum Undone {
    /// Nothing of it is left that could be ended.
    All {
        /// How.
        why: String,
        /// A runner may be at GitLab.
        is_unaccounted: bool,
    },
    /// It was not to be ended, or not yet.
    Not(Cleared),
}

/// What came of removing something at GitLab.
enum Removed {
    /// It is gone, or GitLab forgets it by itself.
    Done(String),
    /// It is to be tried again.
    Later(String),
    /// It may be there for good.
    Never(String),
}

fn not_removed(why: &str) -> Removed {
    Removed::Done(format!("its runner manager cannot be removed: {why}"))
}

fn late() -> String {
    format!("GitLab did not answer within {PATIENCE}")
}
