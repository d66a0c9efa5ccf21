//! `/api/v4`: which call goes where.

mod artifacts;
pub(crate) mod auth;
pub(crate) mod entity;
pub(crate) mod hooks;
mod jobs;
mod page;
mod pipelines;
mod project_jobs;
mod request;
mod runners;
mod user_runners;

pub(crate) use artifacts::stored_archive;
use serde_json::json;

use crate::server::answer::Answer;
use crate::server::request::Request;
use crate::sim::Sim;
use crate::world::VERSION;

/// Answers a call; an unknown one is 404, as Grape says it.
pub(crate) async fn route(sim: &Sim, request: &Request, path: &[&str]) -> Answer {
    let answer = match (request.method.as_str(), path) {
        ("POST", ["runners"]) => runners::register(sim, request),
        ("DELETE", ["runners"]) => runners::remove(sim, request),
        ("POST", ["runners", "verify"]) => runners::verify(sim, request),
        ("DELETE", ["runners", "managers"]) => runners::remove_manager(sim, request),
        ("POST", ["runners", "reset_authentication_token"]) => runners::reset_token(sim, request),
        ("POST", ["user", "runners"]) => user_runners::create(sim, request),
        ("GET", ["runners", id]) => user_runners::show(sim, request, id),
        ("PUT", ["runners", id]) => user_runners::edit(sim, request, id),
        ("DELETE", ["runners", id]) => user_runners::delete(sim, request, id),
        ("GET", ["runners", id, "managers"]) => user_runners::managers(sim, request, id),
        ("POST", ["runners", id, "reset_authentication_token"]) => user_runners::reset_token(sim, request, id),
        ("POST", ["jobs", "request"]) => return request::ask(sim, request).await,
        ("PUT", ["jobs", id]) => jobs::update(sim, request, id),
        ("PATCH", ["jobs", id, "trace"]) => jobs::patch(sim, request, id),
        ("POST", ["jobs", id, "artifacts"]) => return artifacts::upload(sim, request, id).await,
        ("GET", ["jobs", id, "artifacts"]) => artifacts::download(sim, request, id),
        ("GET", ["version"]) => version(sim, request),
        (method, ["projects", project, rest @ ..]) => return of_project(sim, request, method, project, rest).await,
        _ => Ok(Answer::error(404, "404 Not Found")),
    };
    answer.unwrap_or_else(|answer| answer)
}

async fn of_project(sim: &Sim, request: &Request, method: &str, project: &str, path: &[&str]) -> Answer {
    let id = match auth::project(sim, request, project) {
        Ok(id) => id,
        Err(answer) => return answer,
    };
    let answer = match (method, path) {
        ("GET", []) => pipelines::show_project(sim, id),
        ("GET", ["jobs"]) => project_jobs::list(sim, request, id, None),
        ("GET", ["jobs", job]) => project_jobs::show(sim, id, job),
        ("GET", ["jobs", job, "trace"]) => project_jobs::trace(sim, id, job),
        ("POST", ["jobs", job, "cancel"]) => project_jobs::cancel(sim, request, id, job),
        ("POST", ["jobs", job, "retry"]) => project_jobs::retry(sim, id, job),
        ("POST", ["jobs", job, "play"]) => project_jobs::play(sim, id, job),
        ("POST", ["pipeline"]) => return pipelines::create(sim, request, id).await,
        ("GET", ["pipelines", pipeline]) => pipelines::show(sim, id, pipeline),
        ("GET", ["pipelines", pipeline, "jobs"]) => project_jobs::list(sim, request, id, Some(pipeline)),
        ("GET", ["hooks"]) => hooks::list(sim, request, id),
        ("POST", ["hooks"]) => hooks::create(sim, request, id),
        ("GET", ["hooks", hook]) => hooks::show(sim, id, hook),
        ("PUT", ["hooks", hook]) => hooks::edit(sim, request, id, hook),
        ("DELETE", ["hooks", hook]) => hooks::delete(sim, id, hook),
        ("POST", ["hooks", hook, "test", "job_events"]) => return hooks::test(sim, id, hook).await,
        _ => Ok(Answer::error(404, "404 Not Found")),
    };
    answer.unwrap_or_else(|answer| answer)
}

fn version(sim: &Sim, request: &Request) -> Result<Answer, Answer> {
    auth::admin(sim, request)?;
    Ok(Answer::json(200, &json!({"version": VERSION, "revision": "5f1c0ffee00", "enterprise": true})))
}
