//! `projects/:id/jobs`.

use serde_json::Value;

use super::{auth, entity, page};
use crate::moves::cancel::Cancelled;
use crate::server::answer::Answer;
use crate::server::request::{Request, flag};
use crate::sim::Sim;
use crate::world::World;
use crate::world::status::Status;

/// States that `scope` may name.
const SCOPES: [&str; 13] = [
    "created",
    "waiting_for_resource",
    "preparing",
    "waiting_for_callback",
    "pending",
    "running",
    "success",
    "failed",
    "canceling",
    "canceled",
    "skipped",
    "manual",
    "scheduled",
];

/// Calls of the project's job list per minute and token (GitLab's `project_jobs_api`).
const LISTS_PER_MIN: u64 = 600;

/// `GET projects/:id/jobs`, newest first; with a pipeline, that pipeline's without retried ones.
pub(super) fn list(sim: &Sim, request: &Request, project: u64, pipeline: Option<&str>) -> Result<Answer, Answer> {
    let pipeline = pipeline.map(|id| auth::id(id, "pipeline_id")).transpose()?;
    let scopes = request.query_list("scope");
    if scopes.iter().any(|scope| !SCOPES.contains(&scope.as_str())) {
        return Err(Answer::error(400, "scope does not have a valid value"));
    }
    // A pipeline's jobs have no keyset pages.
    let keyset = match (page::keyset(request)?, pipeline) {
        (Some(_), Some(_)) => {
            return Err(Answer::error(405, "Keyset pagination is not yet available for this type of request"));
        }
        (keyset, _) => keyset,
    };
    let retried = pipeline.is_none() || request.query("include_retried").as_deref() == Some("true");
    let base = sim.place().url.clone();
    sim.with(|world| {
        if world.over_rate("project_jobs", &base, LISTS_PER_MIN).is_some() {
            return Err(auth::too_many(60));
        }
        if pipeline.is_some_and(|id| world.pipelines.get(&id).is_none_or(|pipeline| pipeline.project != project)) {
            return Err(Answer::message(404, "404 Not Found"));
        }
        let jobs = world.jobs.values().rev().filter(|job| {
            job.project == project
                && pipeline.is_none_or(|id| job.pipeline == id)
                && (retried || !job.retried)
                && (scopes.is_empty() || scopes.iter().any(|scope| scope == job.status.as_str()))
        });
        if let Some(keyset) = keyset {
            let jobs = jobs.filter(|job| keyset.below.is_none_or(|below| job.id < below)).take(keyset.per_page + 1);
            let jobs = jobs.map(|job| (job.id, entity::job(world, job))).collect();
            return Ok(page::keyset_page(request, &base, keyset, jobs));
        }
        let jobs: Vec<Value> = jobs.map(|job| entity::job(world, job)).collect();
        Ok(page::page(request, &base, jobs))
    })
}

fn own(world: &World, project: u64, id: u64) -> Result<(), Answer> {
    let is_own = world.jobs.get(&id).is_some_and(|job| job.project == project);
    is_own.then_some(()).ok_or_else(|| Answer::message(404, "404 Not Found"))
}

fn shown(world: &World, status: u16, id: u64) -> Answer {
    let job = world.jobs.get(&id).map(|job| entity::job(world, job));
    job.map_or_else(|| Answer::message(404, "404 Not Found"), |job| Answer::json(status, &job))
}

/// `GET projects/:id/jobs/:job_id`.
pub(super) fn show(sim: &Sim, project: u64, id: &str) -> Result<Answer, Answer> {
    let id = auth::id(id, "job_id")?;
    sim.look(|world| own(world, project, id).map(|()| shown(world, 200, id)))
}

/// `GET projects/:id/jobs/:job_id/trace`.
pub(super) fn trace(sim: &Sim, project: u64, id: &str) -> Result<Answer, Answer> {
    let id = auth::id(id, "job_id")?;
    sim.look(|world| {
        own(world, project, id)?;
        let log = world.jobs.get(&id).and_then(|job| job.log.read().ok()).unwrap_or_default();
        Ok(Answer::bytes(200, "text/plain", log))
    })
}

/// `POST projects/:id/jobs/:job_id/cancel`.
pub(super) fn cancel(sim: &Sim, request: &Request, project: u64, id: &str) -> Result<Answer, Answer> {
    let id = auth::id(id, "job_id")?;
    let force = flag(&request.params()?, "force").unwrap_or(false);
    sim.with(|world| {
        own(world, project, id)?;
        if force && world.jobs.get(&id).is_some_and(|job| job.status != Status::Canceling) {
            return Err(Answer::message(422, "422 Unprocessable Entity - Job is not canceling"));
        }
        match world.cancel(id, force) {
            Cancelled::TooLate => Err(Answer::message(422, "422 Unprocessable Entity")),
            Cancelled::Now | Cancelled::Asked => Ok(shown(world, 201, id)),
        }
    })
}

/// `POST projects/:id/jobs/:job_id/retry`: the answer is the new job.
pub(super) fn retry(sim: &Sim, project: u64, id: &str) -> Result<Answer, Answer> {
    let id = auth::id(id, "job_id")?;
    sim.with(|world| {
        own(world, project, id)?;
        let copy = world.retry(id).ok_or_else(|| Answer::message(403, "403 Forbidden - Job is not retryable"))?;
        Ok(shown(world, 201, copy))
    })
}

/// `POST projects/:id/jobs/:job_id/play`.
pub(super) fn play(sim: &Sim, project: u64, id: &str) -> Result<Answer, Answer> {
    let id = auth::id(id, "job_id")?;
    sim.with(|world| {
        own(world, project, id)?;
        if world.play(id) {
            Ok(shown(world, 200, id))
        } else {
            Err(Answer::message(400, "400 Bad request - Unplayable Job"))
        }
    })
}
