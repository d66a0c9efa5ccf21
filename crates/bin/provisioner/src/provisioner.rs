//! One launch's way to its instance.

use std::collections::BTreeSet;

use runnerless_aws::AwsError;
use runnerless_aws::book::Book;
use runnerless_aws::ports::{Applied, Ledger, Parameters};
use runnerless_aws_ec2::Fleet;
use runnerless_core::change::RowKey;
use runnerless_core::fleet::{FaultKind, FleetAnswer, FleetOutcome, FleetRequest, Instance};
use runnerless_core::id::{JobKey, LaunchId};
use runnerless_core::job::JobRow;
use runnerless_core::launch::LaunchRow;
use runnerless_core::moves::{
    Answered, End, Ours, Provision, Withdrawal, answered, asks_for_owner, brought_by, looked_up, provision,
};
use runnerless_gitlab::protocol::Runners;
use runnerless_instances::Instances;
use runnerless_lambda_kit::{Clock, metrics};
use serde_json::json;

use crate::Provisioned;
use crate::enrol::{Enrolled, Office};

/// How often a decision is made again because a row changed meanwhile.
pub(crate) const TRIES: usize = 8;

/// The markets of a launch: each is asked once.
const MARKETS: usize = 2;

/// Starts instances. The function does it for a workflow, the sweep for a launch that is due.
#[derive(Debug)]
pub struct Provisioner<'a, L, F, C, P, G> {
    /// The ledger.
    pub ledger: &'a L,
    /// EC2.
    pub fleet: &'a F,
    /// Time.
    pub clock: &'a C,
    /// What instances of this stack look like; `None` in a stack that launches none.
    pub ours: Option<&'a Ours>,
    /// Where runners come from.
    pub office: Office<'a, P, G>,
    /// Whose metrics these are.
    pub service: &'static str,
}

/// What EC2 said to a request.
enum Word {
    Answer(FleetAnswer),
    Found(Vec<Instance>),
}

impl<L: Ledger, F: Fleet, C: Clock, P: Parameters, G: Runners> Provisioner<'_, L, F, C, P, G> {
    /// Sends the launch's request and does what the answer means. It was probably charged to the job `about`, whose row is then
    /// relied on: who names one needs the right to check a row's condition.
    ///
    /// # Errors
    /// The ledger is out of reach, or EC2's answer is missing: the row stays as it is, and the same request is sent again.
    pub async fn provision(&self, id: &LaunchId, about: Option<JobKey>) -> Result<Provisioned, AwsError> {
        for _ in 0..MARKETS {
            let Some(pair) = Book(self.ledger).pair(id, about).await? else {
                return Ok(Provisioned::Nothing(format!("there is no launch {id}")));
            };
            let charged = pair.launch.charged_to.map_or(Ok(None), |key| pair.job_that_names_it(key))?;
            let launch = pair.launch;
            let owner = match asks_for_owner(&launch, self.clock.now()) {
                true => Some(self.owner(&launch).await?),
                false => None,
            };
            let owner = owner.as_ref().map(Option::as_ref);
            let request = match provision(&launch, owner, self.clock.now()) {
                Provision::Send(request) => request,
                Provision::Withdraw(withdrawal) => return self.withdraw_unseen(&launch, &withdrawal).await,
                Provision::Nothing(why) => return Ok(Provisioned::Nothing(why)),
            };
            let launch = match self.enrol(launch).await? {
                Enrolled::Ready(launch) => *launch,
                Enrolled::Not(provisioned) => return Ok(provisioned),
            };
            if let Some(provisioned) = self.send(launch, charged, &request).await? {
                return Ok(provisioned);
            }
        }
        Ok(Provisioned::Nothing("no market is left".to_owned()))
    }

    /// Sends; `None` when the next market's request is to be sent. `charged` is the row of the job that the launch is charged to,
    /// if it was read.
    async fn send(
        &self,
        launch: LaunchRow,
        mut charged: Option<JobRow>,
        request: &FleetRequest,
    ) -> Result<Option<Provisioned>, AwsError> {
        let word = match self.fleet.launch(request).await? {
            FleetOutcome::Answer(answer) => Word::Answer(answer),
            FleetOutcome::Mismatch => {
                metrics::count(self.service, "FleetMismatch", 1, &json!({"launch.id": launch.launch}));
                Word::Found(self.found(&launch.launch).await?)
            }
        };
        let id = launch.launch.clone();
        let mut launch = Some(launch);
        for _ in 0..TRIES {
            let row = match launch.take() {
                Some(row) => row,
                None => match Book(self.ledger).launch(&id).await? {
                    Some(row) => row,
                    None => return Err(AwsError::Contended(id.pk())),
                },
            };
            let before = charged.take();
            let owner = match &before {
                Some(job) => Some(job.clone()),
                None => self.owner(&row).await?,
            };
            let now = self.clock.now();
            let meant = match &word {
                Word::Answer(answer) => answered(&row, owner.as_ref(), request, answer, now),
                Word::Found(found) => looked_up(&row, owner.as_ref(), request, found, now),
            };
            let meant = match &before {
                Some(job) => meant.relying_on(job),
                None => meant,
            };
            match self.follow(&id, meant).await? {
                Followed::Done(provisioned) => return Ok(Some(provisioned)),
                Followed::NextMarket => return Ok(None),
                Followed::Again => {}
            }
        }
        Err(AwsError::Contended(id.pk()))
    }

    async fn follow(&self, id: &LaunchId, meant: Answered) -> Result<Followed, AwsError> {
        Ok(Followed::Done(match meant {
            Answered::Has { plan, instance, surplus } => {
                if self.ledger.apply(&plan).await? == Applied::Conflict {
                    return Ok(Followed::Again);
                }
                if !plan.changes.is_empty() {
                    metrics::count(self.service, "Launches", 1, &json!({"launch": id, "instance": instance}));
                }
                self.end_surplus(id, &surplus).await;
                Provisioned::UnderWay { instance }
            }
            Answered::Unneeded { withdrawal: None, instances } => {
                self.end_all(&instances).await?;
                Provisioned::Withdrawn("the launch was over before its instance came".to_owned())
            }
            Answered::Unneeded { withdrawal: Some(withdrawal), instances } => {
                if self.ledger.apply(&withdrawal.plan).await? == Applied::Conflict {
                    return Ok(Followed::Again);
                }
                self.end_all(&instances).await?;
                self.conclude(id, &withdrawal.end).await?
            }
            Answered::NextMarket(plan) => {
                if self.ledger.apply(&plan).await? == Applied::Conflict {
                    return Ok(Followed::Again);
                }
                tracing::info!(target: "runnerless", service = self.service, "launch.id" = %id, reason = %plan.reason, "on demand is asked for instead of spot");
                metrics::count(self.service, "SpotFallbacks", 1, &json!({"launch.id": id, "why": plan.reason}));
                return Ok(Followed::NextMarket);
            }
            Answered::Over { plan, until, kind } => {
                if self.ledger.apply(&plan).await? == Applied::Conflict {
                    return Ok(Followed::Again);
                }
                self.tell_over(id, &plan.reason, kind);
                self.clear(id).await?;
                match kind {
                    FaultKind::Configuration | FaultKind::Other => Provisioned::Refused(plan.reason),
                    FaultKind::Capacity | FaultKind::Quota | FaultKind::Throttled => {
                        Provisioned::Held { until, reason: plan.reason }
                    }
                }
            }
            Answered::Wait(why) => Provisioned::Unsure(why),
        }))
    }

    /// EC2 started nothing: each reason has a number of its own.
    fn tell_over(&self, id: &LaunchId, reason: &str, kind: FaultKind) {
        let fields = json!({"launch.id": id, "why": reason});
        match kind {
            FaultKind::Capacity => metrics::count(self.service, "FleetCapacity", 1, &fields),
            FaultKind::Throttled => metrics::count(self.service, "FleetThrottled", 1, &fields),
            FaultKind::Quota => metrics::trouble(self.service, "FleetQuota", 1, &fields),
            FaultKind::Configuration | FaultKind::Other => metrics::trouble(self.service, "FleetRefused", 1, &fields),
        }
        tracing::warn!(target: "runnerless", service = self.service, "launch.id" = %id, reason, kind = ?kind, "EC2 started no instance");
    }

    /// Takes a launch back of which it is not known what it brought: an earlier answer may have been lost. What its row names
    /// is ended also where EC2 does not show it yet.
    async fn withdraw_unseen(&self, launch: &LaunchRow, withdrawal: &Withdrawal) -> Result<Provisioned, AwsError> {
        let id = &launch.launch;
        if self.ledger.apply(&withdrawal.plan).await? == Applied::Conflict {
            return Ok(Provisioned::Unsure("its row changed meanwhile".to_owned()));
        }
        let found = self.found(id).await?;
        let there = found.into_iter().filter(|instance| instance.state.is_there()).map(|instance| instance.id);
        let ends: BTreeSet<String> = there.chain(launch.instance_id.clone()).collect();
        self.end_all(&ends).await?;
        self.conclude(id, &withdrawal.end).await
    }

    /// What EC2 shows of what the launch brought.
    async fn found(&self, id: &LaunchId) -> Result<Vec<Instance>, AwsError> {
        Ok(brought_by(self.ours, id, self.fleet.of_launch(id).await?))
    }

    /// What it brought is terminated, and its runner never asked: no manager of it is left at GitLab, and a runner of its own
    /// is deleted.
    async fn conclude(&self, id: &LaunchId, end: &End) -> Result<Provisioned, AwsError> {
        let (book, now) = (Book(self.ledger), self.clock.now());
        metrics::concluded(self.service, book.conclude(id, end, now).await?);
        match book.launch(id).await? {
            Some(launch) if launch.own_runner.is_some() => self.clear(id).await?,
            _ => drop(book.cleared(id, "its instance is terminated", now).await?),
        }
        metrics::count(self.service, "LaunchesWithdrawn", 1, &json!({"launch.id": id, "why": end.reason()}));
        Ok(Provisioned::Withdrawn(end.reason().to_owned()))
    }

    /// Deletes the runner of a launch that is over. What GitLab does not do now is the sweep's.
    async fn clear(&self, id: &LaunchId) -> Result<(), AwsError> {
        let Office { parameters, parameter_path, runners, .. } = self.office;
        let instances = Instances {
            ledger: self.ledger,
            parameters,
            parameter_path,
            fleet: self.fleet,
            runners,
            clock: self.clock,
            service: self.service,
            tells: metrics::unaccounted,
        };
        instances.clear(id, self.clock.now()).await.map(drop)
    }

    /// Ends instances; the first that EC2 does not end is an error, and whoever comes next goes on.
    async fn end_all(&self, instances: impl IntoIterator<Item = &String>) -> Result<(), AwsError> {
        for instance in instances {
            self.fleet.terminate(instance).await?;
        }
        Ok(())
    }

    /// Ends what a launch brought beside its instance. What EC2 does not end now is an instance that no row names: the sweep
    /// ends it.
    async fn end_surplus(&self, id: &LaunchId, surplus: &[String]) {
        for instance in surplus {
            metrics::count(self.service, "SurplusInstances", 1, &json!({"launch.id": id, "instance": instance}));
            if let Err(error) = self.fleet.terminate(instance).await {
                tracing::warn!(target: "runnerless", service = self.service, %error, "launch.id" = %id, %instance, "a surplus instance is left to the sweep");
            }
        }
    }

    /// The row of the job that the launch is charged to, read after the launch.
    pub(crate) async fn owner(&self, launch: &LaunchRow) -> Result<Option<JobRow>, AwsError> {
        let Some(key) = launch.charged_to else { return Ok(None) };
        Ok(self.ledger.load(&[RowKey::Job(key)]).await?.job(key)?)
    }
}

/// Where a decision led.
enum Followed {
    /// The launch's fate is known.
    Done(Provisioned),
    /// The next market's request is in the row.
    NextMarket,
    /// A row changed meanwhile: it is decided again.
    Again,
}
