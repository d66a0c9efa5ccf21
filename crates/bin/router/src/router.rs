//! One job's way to its launch.

use runnerless_aws::AwsError;
use runnerless_aws::book::Book;
use runnerless_aws::ports::{Applied, Ledger, Mapping, Rows};
use runnerless_core::change::RowKey;
use runnerless_core::id::{JobKey, LaneId, LaunchId};
use runnerless_core::job::JobRow;
use runnerless_core::lane::{Engine, Lane};
use runnerless_core::launch::{LaunchRow, LaunchState};
use runnerless_core::limits;
use runnerless_core::moves::{NotCharged, charge, hold, may_charge, not_ours, record};
use runnerless_core::route::{
    Abilities, BadMapRow, Decision, DefaultRoute, Job, MapRow, Outcome, learned_pk, partitions, route, serves,
};
use runnerless_core::time::{Millis, Timestamp};
use runnerless_lambda_kit::metrics;
use serde_json::json;

use crate::launch::{Launched, freeze, start_target};
use crate::word::{self, Word};
use crate::{Ports, Routed, Rules};

/// How often a job is routed again because its row changed meanwhile, or because a row's target cannot be started.
const TRIES: usize = 4;

/// A launch that was charged this long ago and whose request is not known to have gone out is started again: its
/// charging function is not at it any more, because its own calls end sooner.
const RESUME_AFTER: Millis = Millis::secs(10);

/// Routes jobs. The router does it for an event, the sweep for a row that is due.
#[derive(Debug)]
pub struct Router<'a, P> {
    /// What it speaks to.
    pub ports: &'a P,
    /// The rules of this stack.
    pub rules: &'a Rules,
    /// Whose metrics these are.
    pub service: &'static str,
}

/// An answer that needs no launch.
struct NoLaunch {
    routed: Routed,
    /// The lane that would have served the job.
    lane: Option<LaneId>,
}

impl From<Routed> for NoLaunch {
    fn from(routed: Routed) -> Self {
        Self { routed, lane: None }
    }
}

/// A lane that was decided for, and whether its target isolates tenants.
pub(crate) struct Choice {
    pub(crate) lane: Lane,
    pub(crate) isolated: bool,
    pub(crate) by_default: bool,
    reason: String,
    pub(crate) row: Option<MapRow>,
}

impl<P: Ports> Router<'_, P> {
    /// Finds the job a launch.
    ///
    /// # Errors
    /// AWS is out of reach. What was charged stays charged, and is started again from its row.
    pub async fn route(&self, key: JobKey, now: Timestamp) -> Result<Routed, AwsError> {
        let mut unusable: Vec<MapRow> = Vec::new();
        for _ in 0..TRIES {
            let rows = self.ports.ledger().load(&[&[RowKey::Job(key)][..], &RowKey::ROOM].concat()).await?;
            let Some(job) = rows.job(key)? else {
                return Ok(Routed::Nothing(format!("there is no row of job {key}")));
            };
            match may_charge(&job, now) {
                Ok(()) => {}
                Err(NotCharged::Charged(launch)) => return self.resume(&launch, now).await,
                Err(why) => return Ok(Routed::Already(why.to_string())),
            }
            let job = match word::ask(job.clone(), self.ports.jobs(), self.service).await {
                Word::Waits(job) => *job,
                Word::MovedOn(event) => match self.ports.ledger().apply(&record(Some(&job), &event, now).plan).await? {
                    Applied::All => return Ok(Routed::Already(format!("GitLab says that it is {}", event.status))),
                    Applied::Conflict => continue,
                },
            };
            let choice = match self.choose(&job, &rows, &unusable, now).await? {
                Ok(choice) => choice,
                Err(none) => match self.write(&job, &none, now).await? {
                    Applied::All => return Ok(none.routed),
                    Applied::Conflict => continue,
                },
            };
            match self.launch(&job, &choice, now).await? {
                Some(Ok(routed)) => return Ok(routed),
                // Its row is as good as none: the next try goes to the default route.
                Some(Err(error)) => match choice.row {
                    Some(row) => unusable.push(self.report_unusable(row, &error)),
                    None => return Err(error),
                },
                None => {}
            }
        }
        Err(AwsError::Contended(key.pk()))
    }

    /// A launch is charged already: it is under way, or its start is repeated.
    async fn resume(&self, id: &LaunchId, now: Timestamp) -> Result<Routed, AwsError> {
        let already = Routed::Already(format!("launch {id} is charged to it already"));
        let Some(launch) = Book(self.ports.ledger()).launch(id).await? else { return Ok(already) };
        if launch.engine == Engine::Ec2 && launch.state == LaunchState::Charged {
            // Its provisioner may be called any number of times.
            return Ok(Routed::Provision { launch: id.clone(), reason: "its start is repeated".to_owned() });
        }
        let charged = launch.times.charged_at.unwrap_or(now);
        if launch.state != LaunchState::Charged || now < charged + RESUME_AFTER {
            return Ok(already);
        }
        match start_target(self.ports, &launch, now).await? {
            Launched::UnderWay => Ok(Routed::Launched { launch: id.clone(), reason: "its start was repeated".into() }),
            Launched::Provision => Ok(Routed::Provision { launch: id.clone(), reason: "its start is repeated".into() }),
            Launched::Throttled(until) => Ok(Routed::Held { until, reason: "Lambda was throttled".into() }),
            Launched::Refused(error) => Err(error),
        }
    }

    /// Decides. `rows` has the counts of live launches, and whether the stack drains, as it was when the job's row was read.
    async fn choose(
        &self,
        job: &JobRow,
        rows: &Rows,
        unusable: &[MapRow],
        now: Timestamp,
    ) -> Result<Result<Choice, NoLaunch>, AwsError> {
        let decision = self.decide(job, unusable, now).await?;
        self.report_rows(&decision);
        let (lane, row) = match decision.outcome {
            Outcome::NotOurs => return Ok(Err(Routed::NotOurs(decision.reason).into())),
            Outcome::Later(until) => return Ok(Err(Routed::Held { until, reason: decision.reason }.into())),
            Outcome::Lane { lane, row } => (lane, row.map(|row| *row)),
        };
        if let Some(reason) = self.rules.caps.exceeded(rows.live(&lane.id()), &lane.id()) {
            metrics::count(self.service, "LaunchesHeld", 1, &json!({"job.key": job.key(), "lane": lane.id()}));
            let routed = Routed::Held { until: now + limits::CAP_RETRY, reason };
            return Ok(Err(NoLaunch { routed, lane: Some(lane.id()) }));
        }
        let tenancy = row.as_ref().and_then(|row| row.target.tenancy);
        let isolated = self.rules.isolates(&lane.target, tenancy);
        Ok(Ok(Choice { lane, isolated, by_default: decision.by_default, reason: decision.reason, row }))
    }

    async fn decide(&self, job: &JobRow, unusable: &[MapRow], now: Timestamp) -> Result<Decision, AwsError> {
        let mapping = self.ports.mapping();
        // Not since it waits again: a job whose launch another one took has let runners of others have their turn.
        let waiting_since = job.times.ingested_at.unwrap_or(now);
        let abilities = Abilities { ec2: self.rules.ground.is_some() };
        let seen = Job { facts: &job.facts, tags: job.tags.as_ref(), waiting_since };
        let usable = |row: &Result<MapRow, BadMapRow>| row.as_ref().map_or(true, |row| !unusable.contains(row));
        let mut rows: Vec<Result<MapRow, BadMapRow>> = Vec::new();
        let mut is_served = false;
        for partition in partitions(&job.facts.name) {
            rows.extend(mapping.rows(&partition).await?.into_iter().filter(usable));
            is_served = serves(seen, &rows, abilities);
            if is_served {
                break;
            }
        }
        let learned = match (&self.rules.default, &job.tags) {
            (DefaultRoute::Lane(_), None) if !is_served => {
                let pk = learned_pk(job.project_id, &job.facts.name);
                self.ports.ledger().load(&[RowKey::Learned(pk.clone())]).await?.learned(&pk)
            }
            _ => None,
        };
        let decided = |lanes: &[Lane]| route(seen, &rows, lanes, &self.rules.default, learned.as_ref(), abilities, now);
        let decision = decided(&[]);
        if job.tags.is_none() || decision.outcome != Outcome::NotOurs {
            return Ok(decision);
        }
        let lanes: Vec<Lane> = mapping.lanes().await?.into_iter().flatten().map(|entry| entry.lane).collect();
        Ok(decided(&lanes))
    }

    async fn write(&self, job: &JobRow, none: &NoLaunch, now: Timestamp) -> Result<Applied, AwsError> {
        let plan = match &none.routed {
            Routed::Held { until, reason } => hold(job, none.lane.clone(), *until, reason, now),
            Routed::NotOurs(reason) => {
                metrics::count(self.service, "JobsNotOurs", 1, &json!({"job.key": job.key()}));
                not_ours(job, reason, now)
            }
            Routed::Launched { .. } | Routed::Provision { .. } | Routed::Already(_) | Routed::Nothing(_) => {
                return Ok(Applied::All);
            }
        };
        self.ports.ledger().apply(&plan).await
    }

    /// Charges and starts; `None` when the job's row changed meanwhile, an inner error when the target refuses.
    async fn launch(
        &self,
        job: &JobRow,
        choice: &Choice,
        now: Timestamp,
    ) -> Result<Option<Result<Routed, AwsError>>, AwsError> {
        let start = match freeze(job, choice, self.rules, self.ports.dice(), now) {
            Ok(start) => start,
            Err(bad) => {
                let routed = Routed::Held { until: now + limits::TROUBLE_RETRY, reason: bad.to_string() };
                let none = NoLaunch { routed, lane: Some(choice.lane.id()) };
                let written = self.write(job, &none, now).await?;
                return Ok((written == Applied::All).then_some(Ok(none.routed)));
            }
        };
        let id = start.launch.clone();
        let Ok(plan) = charge(job, &choice.lane, start, &choice.reason, now) else { return Ok(None) };
        if self.ports.ledger().apply(&plan).await? == Applied::Conflict {
            return Ok(None);
        }
        if choice.lane.engine == Engine::Ec2 {
            return Ok(Some(Ok(Routed::Provision { launch: id, reason: choice.reason.clone() })));
        }
        let Some(launch) = plan.leaves::<LaunchRow>(&id.pk()) else { return Err(AwsError::Contended(id.pk())) };
        let launched = start_target(self.ports, &launch, now).await?;
        Ok(Some(match launched {
            Launched::UnderWay => {
                metrics::count(self.service, "Launches", 1, &json!({"job.key": job.key(), "launch": id}));
                Ok(Routed::Launched { launch: id, reason: choice.reason.clone() })
            }
            Launched::Provision => Ok(Routed::Provision { launch: id, reason: choice.reason.clone() }),
            Launched::Throttled(until) => Ok(Routed::Held { until, reason: "Lambda was throttled".into() }),
            Launched::Refused(error) => Err(error),
        }))
    }

    fn report_rows(&self, decision: &Decision) {
        for bad in decision.unusable() {
            tracing::warn!(target: "runnerless", verdict = %bad.verdict, map.row = bad.row, "a mapping row cannot be used");
            metrics::count(self.service, "UnusableRows", 1, &json!({"map.row": bad.row}));
        }
    }

    fn report_unusable(&self, row: MapRow, error: &AwsError) -> MapRow {
        tracing::warn!(target: "runnerless", %error, map.row = %row, "a mapping row's target cannot be started");
        metrics::count(self.service, "UnusableRows", 1, &json!({"map.row": row.to_string()}));
        row
    }
}
