//! The sweep: once a minute it looks at every row that is due and does what its events should have led to.
//!
//! Load, plan, act. The plan is made of the rows alone and says why; acting makes the same moves that the router, the
//! runners and the terminator make, which read their rows again, so that two sweeps at once, or one that dies anywhere,
//! do no harm. What could not be done stays due. A run is bounded in rows and in time, and the next one goes on.

mod act;
mod backfill;
mod instances;
mod lanes;
mod load;
mod plan;
mod report;
mod window;

use std::collections::BTreeSet;

use futures_util::{StreamExt as _, stream};
use runnerless_aws::ports::{Ledger as _, Parameters, TokenStore};
use runnerless_aws::{AwsError, DynamoLedger, ParameterStore};
use runnerless_aws_ec2::{Ec2Fleet, Fleet};
use runnerless_core::chain::chain;
use runnerless_core::change::RowKey;
use runnerless_core::moves::Ours;
use runnerless_core::official::Official;
use runnerless_core::time::{Millis, Timestamp};
use runnerless_gitlab::protocol::Runners;
use runnerless_instances::{Ec2, Instances};
use runnerless_lambda_kit::{Clock as _, Env, EnvError, Named, metrics, within};
use runnerless_lost::{LostJobs, OnDemand, Reporter};
use runnerless_provisioner::official;
use runnerless_router::{Config as RouterConfig, Ports, Rules};
use serde::Deserialize;

pub use backfill::{Listed, Listing};
pub use lanes::Lanes;
pub use plan::{Action, Planned, plan};
pub use report::{Item, Report, Result};

use crate::backfill::{Backfill, backfill};

pub(crate) const SERVICE: &str = "reconciler";

/// Time that is kept at the end of an invocation for the report.
const REPORT: Millis = Millis::secs(3);

/// Items that are acted on at once: a run waits for answers nearly all of its time, and so many callers are no burden to
/// anybody. As many launches may pass a cap.
const ITEMS_AT_ONCE: usize = 8;

/// What the function is asked: EventBridge's schedule event, or a dry run by hand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Request {
    /// Only plan.
    #[serde(default)]
    pub dry_run: bool,
}

/// The function's configuration: the router's, because it launches by the same rules, and what it takes to report the
/// jobs of lost launches.
#[derive(Debug)]
pub struct Config {
    router: RouterConfig,
    parameters: ParameterStore,
    parameter_path: String,
    gitlab: OnDemand,
    sentinel_every: Millis,
    listing: Listing,
    fleet: Ec2Fleet,
    ours: Option<Ours>,
    official: Option<Official>,
}

impl Config {
    /// Reads the environment.
    ///
    /// # Errors
    /// The variable that is missing or cannot be read.
    pub fn read(env: &Env) -> std::result::Result<Self, EnvError> {
        let (place, way) = env.way("RUNNERLESS_PROXY", "RUNNERLESS_CA_FILE")?;
        let (credentials, stack) = (env.credentials()?, env.text("RUNNERLESS_STACK")?);
        Ok(Self {
            router: RouterConfig::read(env)?,
            parameters: ParameterStore::new(&place, &credentials),
            fleet: Ec2Fleet::new(&place, &credentials),
            ours: env.optional("RUNNERLESS_INSTANCE_PROFILE").map(|profile| Ours { stack, profile }),
            parameter_path: env.text("RUNNERLESS_PARAMETER_PATH")?,
            gitlab: OnDemand::new(env.text("RUNNERLESS_GITLAB_URL")?, way),
            sentinel_every: Millis::minutes(
                i64::try_from(env.number("RUNNERLESS_SENTINEL_MINUTES")?).unwrap_or(i64::MAX),
            ),
            listing: Listing::read(env)?,
            official: official(env)?,
        })
    }

    /// How the listing is done.
    #[must_use]
    pub const fn listing(&self) -> &Listing {
        &self.listing
    }

    /// What the official runner is on instances, if it serves them.
    #[must_use]
    pub const fn official(&self) -> Option<&Official> {
        self.official.as_ref()
    }

    /// The rules of this stack.
    #[must_use]
    pub const fn rules(&self) -> &Rules {
        &self.router.rules
    }

    /// The ports, with the jobs API if there is a token for it now.
    pub async fn ports(&self) -> impl Ports<Ledger = DynamoLedger> + '_ {
        self.router.ports().await
    }

    /// What reports the jobs of lost launches.
    #[must_use]
    pub fn lost(&self) -> LostJobs<'_, DynamoLedger, ParameterStore, OnDemand> {
        LostJobs {
            ledger: self.router.ledger(),
            parameters: &self.parameters,
            parameter_path: &self.parameter_path,
            reporter: &self.gitlab,
        }
    }

    /// The side of instances.
    #[must_use]
    pub const fn ec2(&self) -> Ec2<'_, Ec2Fleet, OnDemand> {
        Ec2 { fleet: &self.fleet, runners: &self.gitlab, ours: self.ours.as_ref() }
    }

    /// What looks after lanes.
    #[must_use]
    pub const fn lanes(&self) -> Lanes<'_, OnDemand> {
        Lanes { runners: &self.gitlab, sentinel_every: self.sentinel_every }
    }
}

/// What it takes to sweep.
#[derive(Debug)]
pub struct Sweep<'a, P: Ports, S, R, G, F> {
    /// What the router speaks to, for the same launches by the same rules.
    pub ports: &'a P,
    /// What reports the jobs of lost launches.
    pub lost: LostJobs<'a, P::Ledger, S, R>,
    /// What looks after lanes.
    pub lanes: Lanes<'a, G>,
    /// The side of instances.
    pub ec2: Ec2<'a, F, G>,
    /// The official runner serves the launches of instances, as this executor; `None` where ours does.
    pub official: Option<&'a Official>,
    /// The rules of this stack.
    pub rules: &'a Rules,
    /// How jobs are found whose hook never came.
    pub listing: &'a Listing,
}

impl<P: Ports, S: Parameters + TokenStore, R: Reporter, G: Runners, F: Fleet> Sweep<'_, P, S, R, G, F> {
    /// Sweeps once; `ends_at` is when the invocation ends.
    ///
    /// # Errors
    /// The ledger is out of reach, or all that was tried failed. What failed item by item is in the report, and stays
    /// due.
    pub async fn run(&self, dry_run: bool, ends_at: Timestamp) -> std::result::Result<Report, Error> {
        let (ledger, clock) = (self.ports.ledger(), self.ports.clock());
        let draining = ledger.load(&[RowKey::Drain]).await?.draining();
        // What it would find waits for no launch of a stack that drains.
        let listed = match draining {
            None => self.list(dry_run, ends_at).await,
            Some(_) => Backfill::default(),
        };
        let now = clock.now();
        let loaded = load::load(ledger, draining, now).await?;
        let mut planned = plan(&loaded, now);
        planned.extend(found(&listed, &planned));
        let mut report = Report::new(&loaded, dry_run);
        report.take(listed);
        // After what jobs wait for: nobody waits for these.
        planned.extend(self.plan_instances(&loaded, &mut report, now).await);
        planned.extend(self.plan_lanes(&loaded, &mut report, now).await);
        if !dry_run {
            load::recount(ledger, &loaded).await?;
        }
        let results = match dry_run {
            true => planned.iter().map(|_| Result::Planned).collect(),
            false => self.act_on(&planned, ends_at - REPORT).await,
        };
        planned.into_iter().zip(results).for_each(|(item, result)| report.add(item, result));
        report.publish();
        if report.is_failure() { Err(Error::NothingDone(report.items.len())) } else { Ok(report) }
    }

    /// What lanes ask for. When it cannot be loaded, that is a failure of its own, and jobs are swept all the same.
    async fn plan_lanes(&self, loaded: &load::Loaded, report: &mut Report, now: Timestamp) -> Vec<Planned> {
        match lanes::load(self.ports, self.rules, loaded.draining, now).await {
            Ok(seen) => {
                report.unreadable.extend(seen.unreadable.iter().cloned());
                lanes::plan(&seen, loaded, self.lanes.sentinels(self.ports), now)
            }
            Err(error) => {
                report.failed("lanes", &error);
                Vec::new()
            }
        }
    }

    /// What EC2 shows of this stack. When it cannot be loaded, that is a failure of its own, as with lanes.
    async fn plan_instances(&self, loaded: &load::Loaded, report: &mut Report, now: Timestamp) -> Vec<Planned> {
        let Some(ours) = self.ec2.ours else {
            report.instances = Some(0);
            return Vec::new();
        };
        match instances::load(self.ports.ledger(), self.ec2.fleet, ours, loaded, now).await {
            Ok(seen) => {
                report.instances = Some(seen.left(ours));
                report.unreadable.extend(seen.unreadable.iter().filter(|pk| !loaded.unreadable.contains(*pk)).cloned());
                instances::plan(ours, &seen, loaded, now)
            }
            Err(error) => {
                report.failed("instances", &error);
                Vec::new()
            }
        }
    }

    /// What ends instances.
    pub(crate) fn instances(&self) -> Instances<'_, P::Ledger, S, F, G, P::Clock> {
        Instances {
            ledger: self.ports.ledger(),
            parameters: self.lost.parameters,
            parameter_path: self.lost.parameter_path,
            fleet: self.ec2.fleet,
            runners: self.ec2.runners,
            clock: self.ports.clock(),
            service: SERVICE,
            tells: metrics::unaccounted,
        }
    }

    /// Does what is planned, several things at once, and says what came of each, in the plan's order.
    async fn act_on(&self, planned: &[Planned], until: Timestamp) -> Vec<Result> {
        let acted = stream::iter(0..planned.len());
        let acted = acted.map(|at| async move { (at, self.act(&planned[at], until).await) });
        let mut results: Vec<(usize, Result)> = acted.buffer_unordered(ITEMS_AT_ONCE).collect().await;
        results.sort_by_key(|(at, _)| *at);
        results.into_iter().map(|(_, result)| result).collect()
    }

    /// Does one thing, unless the time is up. What is under way when it is, is left as by a sweep that died.
    async fn act(&self, item: &Planned, until: Timestamp) -> Result {
        let now = self.ports.clock().now();
        if now >= until {
            return Result::Left;
        }
        within(self.ports.clock(), until - now, act::act(self, &item.action, now)).await.unwrap_or(Result::Left)
    }
}

impl<P: Ports, S, R, G, F> Sweep<'_, P, S, R, G, F> {
    /// The listing comes first, so that what it finds is launched for in the same run. Whatever becomes of it, the rows that
    /// are due are swept.
    async fn list(&self, dry_run: bool, ends_at: Timestamp) -> Backfill {
        match backfill(self.ports, self.listing, dry_run, ends_at).await {
            Ok(listed) => listed,
            Err(error) => {
                tracing::error!(target: "runnerless", error = chain(&error), "the projects were not listed to the end");
                Backfill::failed(&error)
            }
        }
    }
}

/// The jobs that the listing found: the index may not show their new rows yet.
fn found(listed: &Backfill, planned: &[Planned]) -> Vec<Planned> {
    if listed.found.is_empty() {
        return Vec::new();
    }
    let rows: BTreeSet<String> = planned.iter().map(|item| item.action.pk()).collect();
    let new = listed.found.iter().filter(|key| !rows.contains(&key.pk()));
    new.map(|key| Planned { action: Action::Route(*key), reason: "the listing found it".to_owned() }).collect()
}

/// A sweep that did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The ledger is out of reach.
    #[error(transparent)]
    Ledger(#[from] AwsError),
    /// Everything that was tried failed; each has its own line in the log.
    #[error("all of {0} items failed")]
    NothingDone(usize),
}

impl Named for Error {
    fn name(&self) -> &'static str {
        match self {
            Self::Ledger(error) => error.name(),
            Self::NothingDone(_) => "Sweep.NothingDone",
        }
    }
}
