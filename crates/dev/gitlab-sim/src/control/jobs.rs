//! `jobs`: looking at them and cancelling them.

use serde_json::{Value, json};

use super::{id, not_found, wait};
use crate::moves::cancel::Cancelled;
use crate::server::answer::Answer;
use crate::server::request::Request;
use crate::sim::Sim;
use crate::world::World;
use crate::world::job::Job;

/// A job, with the times that the simulator promises to stamp, in milliseconds since the epoch.
pub(super) fn job_view(world: &World, job: &Job) -> Value {
    let stamps = job.stamps;
    let runner = job.hold.runner.and_then(|id| world.runners.get(&id));
    json!({
        "id": job.id,
        "project": job.project,
        "pipeline": job.pipeline,
        "name": job.spec.name,
        "stage": job.spec.stage,
        "tags": job.spec.tags,
        "status": job.status.as_str(),
        "ended": job.status.is_completed(),
        "exit_code": job.exit_code,
        "failure_reason": job.failure_reason,
        "reported": job.reported,
        "allow_failure": job.allow_failure,
        "retried": job.retried,
        "retry_of": job.retry_of,
        "retries": job.retries_count,
        "offered": job.is_offered(),
        "runner": job.hold.runner,
        "runner_description": runner.map(|runner| runner.description.clone()),
        "system_id": job.hold.system_id,
        "cancel_gracefully": job.hold.cancel_gracefully,
        "timeout_s": job.hold.timeout_s,
        "created_at": job.created_at,
        "queued_at": job.queued_at,
        "started_at": job.started_at,
        "t": {
            "hook_sent": stamps.hook_sent,
            "picked_up": stamps.picked_up,
            "first_output": stamps.first_output,
            "finished": stamps.finished,
        },
        "log": job.log.path(),
        "log_bytes": job.log.length(),
        "log_checksum": job.log.checksum(),
        "artifacts": job.artifacts.iter().map(|(kind, file)| json!({
            "type": kind, "format": file.format, "filename": file.filename, "size": file.size,
            "sha256": file.sha256, "path": file.path,
        })).collect::<Vec<_>>(),
    })
}

/// `GET jobs`; `pipeline`, `project` and `status` select.
pub(super) fn list(sim: &Sim, request: &Request) -> Result<Answer, Answer> {
    let pipeline = request.query("pipeline").map(|text| id(&text)).transpose()?;
    let project = request.query("project").map(|text| id(&text)).transpose()?;
    let status = request.query("status");
    let jobs = sim.look(|world| {
        let chosen = world.jobs.values().filter(|job| {
            pipeline.is_none_or(|id| job.pipeline == id)
                && project.is_none_or(|id| job.project == id)
                && status.as_deref().is_none_or(|status| job.status.as_str() == status)
        });
        chosen.map(|job| job_view(world, job)).collect::<Vec<_>>()
    });
    Ok(Answer::json(200, &Value::Array(jobs)))
}

/// `GET jobs/:id`; with `wait_s` the answer comes when the job has ended, or with `until` when it is in that state.
pub(super) async fn show(sim: &Sim, request: &Request, text: &str) -> Answer {
    let (id, limit) = match id(text).and_then(|id| Ok((id, wait(request)?))) {
        Ok(found) => found,
        Err(answer) => return answer,
    };
    let until = request.query("until");
    if let Some(limit) = limit {
        let reached = |world: &World| {
            let Some(job) = world.jobs.get(&id) else { return Some(()) };
            let there = until.as_deref().is_some_and(|status| status == job.status.as_str());
            (there || job.status.is_completed()).then_some(())
        };
        sim.wait(limit, reached).await;
    }
    sim.look(|world| world.jobs.get(&id).map(|job| Answer::json(200, &job_view(world, job))))
        .unwrap_or_else(|| not_found("job"))
}

/// `GET jobs/:id/log`.
pub(super) fn log(sim: &Sim, text: &str) -> Result<Answer, Answer> {
    let id = id(text)?;
    let log = sim.look(|world| world.jobs.get(&id).map(|job| job.log.read()));
    let log = log.ok_or_else(|| not_found("job"))?;
    log.map(|bytes| Answer::bytes(200, "text/plain", bytes)).map_err(|error| Answer::error(500, error.to_string()))
}

/// `POST jobs/:id/cancel`; `?force=true` ends one that is being cancelled.
pub(super) fn cancel(sim: &Sim, request: &Request, text: &str) -> Result<Answer, Answer> {
    let id = id(text)?;
    let force = request.query("force").as_deref() == Some("true");
    sim.with(|world| {
        let known = world.jobs.contains_key(&id);
        let done = world.cancel(id, force);
        let job = world.jobs.get(&id).filter(|_| known).ok_or_else(|| not_found("job"))?;
        match done {
            Cancelled::TooLate => Err(Answer::error(409, format!("the job is {} already", job.status.as_str()))),
            Cancelled::Now | Cancelled::Asked => Ok(Answer::json(200, &job_view(world, job))),
        }
    })
}
