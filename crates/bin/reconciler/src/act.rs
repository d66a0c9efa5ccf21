//! Acting: the moves of the plan, each on rows that are read again.

use std::collections::BTreeMap;

use runnerless_aws::AwsError;
use runnerless_aws::book::{Book, MoveError};
use runnerless_aws::ports::{Applied, Ledger, Parameters, TokenStore};
use runnerless_aws_ec2::Fleet;
use runnerless_core::change::{Plan, RowKey};
use runnerless_core::id::{JobKey, LaunchId};
use runnerless_core::job::{JobEvent, JobFacts, Taker};
use runnerless_core::launch::LaunchState;
use runnerless_core::moves::{DueJob, End, Evidence, Settlement, assign, due_job, record};
use runnerless_core::time::Timestamp;
use runnerless_gitlab::protocol::Runners;
use runnerless_gitlab::rest::{ApiJob, JobsApi};
use runnerless_instances::{Cleared, Instances};
use runnerless_lambda_kit::{Clock, metrics};
use runnerless_lost::{LostJobs, Reporter, Told, Written};
use runnerless_provisioner::{Office, Provisioned, Provisioner, Shared};
use runnerless_router::{Launched, Ports, Routed, Router, start_target};
use serde_json::json;

use crate::lanes;
use crate::plan::Action;
use crate::report::Result;
use crate::{SERVICE, Sweep};

/// Does one thing, and says what came of it.
pub(crate) async fn act<P: Ports, S: Parameters + TokenStore, R: Reporter, G: Runners, F: Fleet>(
    sweep: &Sweep<'_, P, S, R, G, F>,
    action: &Action,
    now: Timestamp,
) -> Result {
    let Sweep { ports, lost, .. } = sweep;
    let instances = sweep.instances();
    let ports = *ports;
    let acted = match action {
        Action::Route(key) => route(sweep, *key, now).await,
        Action::Assign(key, launch) => give(ports, *key, launch, now).await,
        Action::Settle(key) => settle(&instances, *key, now).await,
        Action::Ask(key, plan) => ask(ports, &instances, *key, plan, now).await,
        Action::Write(_, plan) => write(ports, plan).await,
        Action::Start(id) => start(sweep, id, now).await,
        Action::Stop(id, end) => stop(&instances, id, Evidence::RowOnly, end, now).await,
        Action::Lost(id) => lose(lost, &instances, id, Evidence::RowOnly, now).await,
        Action::WriteOff(id) => lose(lost, &instances, id, Evidence::Removal, now).await,
        Action::Report(id) => report(lost, &instances, id, now).await,
        Action::Verify(lane) => lanes::verify(sweep, lane, now).await,
        Action::Sentinel(entry) => lanes::sentinel(sweep, entry, now).await,
        Action::Forget(lane, engine, due) => lanes::forget(sweep, lane, *engine, *due, now).await,
        Action::PutLane(_, plan) => write(ports, plan).await,
        Action::Unaccounted(key, at) => unaccounted(ports, *key, *at).await,
        Action::Recognise(key, at, managers) => recognise(ports, *key, *at, managers, now).await,
        Action::HostGone(id) => host_gone(lost, &instances, id, now).await,
        Action::Adopt(_, plan) => write(ports, plan).await,
        Action::EndInstance(id) => end_instance(&instances, id).await,
        Action::LookAlike(id) => Ok(look_alike(id)),
    };
    acted.unwrap_or_else(|error| {
        tracing::warn!(target: "runnerless", %error, row.pk = action.pk(), action = action.name(), "the sweep leaves this to its next run");
        Result::Failed(error.name().to_owned())
    })
}

async fn route<P: Ports, S: Parameters, R, G: Runners, F: Fleet>(
    sweep: &Sweep<'_, P, S, R, G, F>,
    key: JobKey,
    now: Timestamp,
) -> std::result::Result<Result, AwsError> {
    let routed = Router { ports: sweep.ports, rules: sweep.rules, service: SERVICE }.route(key, now).await?;
    Ok(match routed {
        Routed::Launched { .. } => Result::Done,
        Routed::Provision { launch, .. } => provision(sweep, &launch).await?,
        Routed::Already(why) | Routed::NotOurs(why) | Routed::Nothing(why) => Result::NotNeeded(why),
        Routed::Held { reason, .. } => Result::Held(reason),
    })
}

/// As the provisioner does it, with the launch's frozen request.
async fn provision<P: Ports, S: Parameters, R, G: Runners, F: Fleet>(
    sweep: &Sweep<'_, P, S, R, G, F>,
    id: &LaunchId,
) -> std::result::Result<Result, AwsError> {
    let office = Office {
        parameters: sweep.lost.parameters,
        parameter_path: sweep.lost.parameter_path,
        runners: sweep.ec2.runners,
        official: sweep.official,
        shared: &Shared::default(),
    };
    let (ledger, clock, fleet, ours) = (sweep.ports.ledger(), sweep.ports.clock(), sweep.ec2.fleet, sweep.ec2.ours);
    let provisioner = Provisioner { ledger, fleet, clock, ours, office, service: SERVICE };
    Ok(match provisioner.provision(id, None).await? {
        Provisioned::UnderWay { .. } | Provisioned::Withdrawn(_) => Result::Done,
        Provisioned::Held { reason, .. } | Provisioned::Refused(reason) | Provisioned::Unsure(reason) => {
            Result::Held(reason)
        }
        Provisioned::Nothing(why) => Result::NotNeeded(why),
    })
}

async fn give<P: Ports>(
    ports: &P,
    key: JobKey,
    id: &LaunchId,
    now: Timestamp,
) -> std::result::Result<Result, AwsError> {
    let rows = ports.ledger().load(&[RowKey::Job(key), RowKey::Launch(id.clone())]).await?;
    let (Some(job), Some(launch)) = (rows.job(key)?, rows.launch(id)?) else { return Ok(gone()) };
    // After the launch: see `assign`.
    let owner = match launch.charged_to {
        Some(owner) => ports.ledger().load(&[RowKey::Job(owner)]).await?.job(owner)?,
        None => None,
    };
    match assign(&job, &launch, owner.as_ref(), now) {
        Ok(Some(plan)) => write(ports, &plan).await,
        Ok(None) => Ok(gone()),
        Err(why) => Ok(Result::NotNeeded(why.to_string())),
    }
}

pub(crate) fn gone() -> Result {
    Result::NotNeeded("its row changed meanwhile".to_owned())
}

pub(crate) async fn write<P: Ports>(ports: &P, plan: &Plan) -> std::result::Result<Result, AwsError> {
    Ok(match ports.ledger().apply(plan).await? {
        Applied::All => Result::Done,
        Applied::Conflict => gone(),
    })
}

async fn settle<L: Ledger, S: Parameters, F: Fleet, G: Runners, C: Clock>(
    instances: &Instances<'_, L, S, F, G, C>,
    key: JobKey,
    now: Timestamp,
) -> std::result::Result<Result, AwsError> {
    Ok(match Book(instances.ledger).settle(key, now).await? {
        Settlement::Retire(_) | Settlement::EndsItself(_) => Result::Done,
        Settlement::Nothing(why) => Result::NotNeeded(why),
        Settlement::Stop { launch, rest, .. } => cleared(instances.clear_read(&launch, &rest, now).await?),
    })
}

fn cleared(cleared: Cleared) -> Result {
    match cleared {
        Cleared::Now(_) | Cleared::Unaccounted(_) => Result::Done,
        Cleared::Left(why) => Result::Held(why),
        Cleared::NotNeeded(why) => Result::NotNeeded(why),
    }
}

/// GitLab's word on a job whose end hook did not come.
async fn ask<P: Ports, S: Parameters, F: Fleet, G: Runners>(
    ports: &P,
    instances: &Instances<'_, P::Ledger, S, F, G, P::Clock>,
    key: JobKey,
    later: &Plan,
    now: Timestamp,
) -> std::result::Result<Result, AwsError> {
    let put_off = async |why: &str| {
        let written = write(ports, later).await?;
        Ok(if written == Result::Done { Result::Held(why.to_owned()) } else { written })
    };
    let Some(jobs) = ports.jobs() else { return put_off("without an API token nobody can be asked").await };
    let job = match jobs.job(key).await {
        Ok(Some(job)) if job.status.is_ended() => job,
        Ok(_) => return put_off("GitLab says that the job is not over").await,
        Err(error) => {
            tracing::warn!(target: "runnerless", %error, job.key = %key, "GitLab did not say how the job stands");
            write(ports, later).await?;
            return Ok(Result::Failed(error.name().to_owned()));
        }
    };
    let row = ports.ledger().load(&[RowKey::Job(key)]).await?.job(key)?;
    let Some(row) = row else { return Ok(gone()) };
    let recorded = record(Some(&row), &event(&job, row.facts.clone()), now);
    match write(ports, &recorded.plan).await? {
        Result::Done => settle(instances, key, now).await,
        other => Ok(other),
    }
}

fn event(job: &ApiJob, facts: JobFacts) -> JobEvent {
    JobEvent {
        key: job.key,
        status: job.status.clone(),
        facts,
        created_at: job.created_at,
        runner: job.runner.map(Taker::stranger),
    }
}

async fn start<P: Ports, S: Parameters, R, G: Runners, F: Fleet>(
    sweep: &Sweep<'_, P, S, R, G, F>,
    id: &LaunchId,
    now: Timestamp,
) -> std::result::Result<Result, AwsError> {
    let ports = sweep.ports;
    let Some(launch) = Book(ports.ledger()).launch(id).await? else { return Ok(gone()) };
    Ok(match start_target(ports, &launch, now).await? {
        Launched::UnderWay => Result::Done,
        Launched::Provision => provision(sweep, id).await?,
        Launched::Throttled(_) => Result::Held("Lambda was throttled".to_owned()),
        Launched::Refused(error) => Result::Failed(error.name().to_owned()),
    })
}

/// Closes first: a runner that comes late finds that it may bind nothing. Then the launch is over, and its instance, if it
/// has one, is ended.
async fn stop<L: Ledger, S: Parameters, F: Fleet, G: Runners, C: Clock>(
    instances: &Instances<'_, L, S, F, G, C>,
    id: &LaunchId,
    evidence: Evidence,
    end: &End,
    now: Timestamp,
) -> std::result::Result<Result, AwsError> {
    let book = Book(instances.ledger);
    match book.close(id, evidence, "the sweep stops it", now).await {
        Ok(_) => {}
        Err(MoveError::Refused(why)) => return Ok(Result::NotNeeded(why.to_string())),
        Err(MoveError::NoLaunch(_)) => return Ok(gone()),
        Err(MoveError::Ledger(error)) => return Err(error),
    }
    metrics::concluded(SERVICE, book.conclude(id, end, now).await?);
    clear(instances, id, Result::Done, now).await
}

/// Ends what is left of a launch, if that is something.
async fn clear<L: Ledger, S: Parameters, F: Fleet, G: Runners, C: Clock>(
    instances: &Instances<'_, L, S, F, G, C>,
    id: &LaunchId,
    done: Result,
    now: Timestamp,
) -> std::result::Result<Result, AwsError> {
    Ok(match instances.clear(id, now).await? {
        Cleared::Left(why) => Result::Held(why),
        Cleared::Unaccounted(_) => Result::Done,
        Cleared::Now(_) | Cleared::NotNeeded(_) => done,
    })
}

async fn lose<L: Ledger, S: Parameters, R: Reporter, F: Fleet, G: Runners, C: Clock>(
    lost: &LostJobs<'_, L, S, R>,
    instances: &Instances<'_, L, S, F, G, C>,
    id: &LaunchId,
    evidence: Evidence,
    now: Timestamp,
) -> std::result::Result<Result, AwsError> {
    match lost.lose(id, evidence, now).await? {
        Written::NotLost(why) => Ok(Result::NotNeeded(why)),
        Written::Lost(told) => {
            metrics::lost(SERVICE, id, told.job(), &told.sentence());
            clear(instances, id, self::told(told), now).await
        }
    }
}

async fn report<L: Ledger, S: Parameters, R: Reporter, F: Fleet, G: Runners, C: Clock>(
    lost: &LostJobs<'_, L, S, R>,
    instances: &Instances<'_, L, S, F, G, C>,
    id: &LaunchId,
    now: Timestamp,
) -> std::result::Result<Result, AwsError> {
    let told = told(lost.pay(id, now).await?);
    clear(instances, id, told, now).await
}

/// EC2 says that a launch's instance is over: its runner asks no more, and what it ran is lost.
async fn host_gone<L: Ledger, S: Parameters, R: Reporter, F: Fleet, G: Runners, C: Clock>(
    lost: &LostJobs<'_, L, S, R>,
    instances: &Instances<'_, L, S, F, G, C>,
    id: &LaunchId,
    now: Timestamp,
) -> std::result::Result<Result, AwsError> {
    let Some(launch) = Book(instances.ledger).launch(id).await? else { return Ok(gone()) };
    if launch.state == LaunchState::Bound {
        return lose(lost, instances, id, Evidence::HostGone, now).await;
    }
    let end = End::Fruitless("its instance ended before it got a job".to_owned());
    stop(instances, id, Evidence::HostGone, &end, now).await
}

async fn end_instance<L, S, F: Fleet, G, C>(
    instances: &Instances<'_, L, S, F, G, C>,
    instance: &str,
) -> std::result::Result<Result, AwsError> {
    instances.fleet.terminate(instance).await?;
    metrics::count(SERVICE, "InstancesSwept", 1, &json!({"instance.id": instance}));
    Ok(Result::Done)
}

fn look_alike(instance: &str) -> Result {
    metrics::trouble(SERVICE, "LookAlikeInstances", 1, &json!({"instance.id": instance}));
    Result::Held("it is not ours, and is left alone".to_owned())
}

fn told(told: Told) -> Result {
    match told {
        Told::Nothing(_) | Told::Failed(_) | Told::Known(_) => Result::Done,
        Told::Later(_, why) => Result::Held(why),
        Told::Never(job, why) => {
            metrics::trouble(SERVICE, "JobsUnreported", 1, &json!({"job.key": job, "why": why}));
            Result::Done
        }
    }
}

/// GitLab gave a job to our runner, and official runners ask that tell nobody what they got: GitLab says by which manager it
/// has the job, and that manager's launch is bound to it. One that says nothing now is asked by the next sweep.
async fn recognise<P: Ports>(
    ports: &P,
    key: JobKey,
    at: Timestamp,
    managers: &BTreeMap<String, LaunchId>,
    now: Timestamp,
) -> std::result::Result<Result, AwsError> {
    let Some(jobs) = ports.jobs() else { return unaccounted(ports, key, at).await };
    let job = match jobs.job(key).await {
        Ok(Some(job)) => job,
        Ok(None) => return unaccounted(ports, key, at).await,
        Err(error) => {
            tracing::warn!(target: "runnerless", %error, job.key = %key, "GitLab did not say which runner manager has the job");
            return Ok(match error.is_temporary() {
                true => Result::Held("GitLab does not say now which runner manager has it".to_owned()),
                false => Result::Failed(error.name().to_owned()),
            });
        }
    };
    if job.status.is_ended() {
        let Some(row) = ports.ledger().load(&[RowKey::Job(key)]).await?.job(key)? else { return Ok(gone()) };
        return write(ports, &record(Some(&row), &event(&job, row.facts.clone()), now).plan).await;
    }
    let Some(launch) = job.system_id.and_then(|id| managers.get(&id)) else { return unaccounted(ports, key, at).await };
    match Book(ports.ledger()).bind(launch, key, now).await {
        Ok(_) => {
            metrics::count(SERVICE, "JobsRecognised", 1, &json!({"job.key": key, "launch.id": launch}));
            Ok(Result::Done)
        }
        Err(MoveError::Refused(why)) => Ok(Result::NotNeeded(why.to_string())),
        Err(MoveError::NoLaunch(_)) => Ok(gone()),
        Err(MoveError::Ledger(error)) => Err(error),
    }
}

/// Waits until a binding cannot come any more, and looks again: what is then still without one is an alarm.
async fn unaccounted<P: Ports>(ports: &P, key: JobKey, at: Timestamp) -> std::result::Result<Result, AwsError> {
    ports.clock().pause(at - ports.clock().now()).await;
    let Some(job) = ports.ledger().load(&[RowKey::Job(key)]).await?.job(key)? else { return Ok(gone()) };
    let DueJob::Unaccounted { plan, .. } = due_job(&job, None, at) else { return Ok(gone()) };
    let written = write(ports, &plan).await?;
    if written == Result::Done {
        metrics::trouble(SERVICE, "JobsUnaccounted", 1, &json!({"job.key": key, "runner.id": job.runner}));
    }
    Ok(written)
}
