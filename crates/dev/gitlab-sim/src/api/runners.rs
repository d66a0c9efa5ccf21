//! Calls of a runner about itself, by its own token (contract, section 2).

use serde_json::{Value, json};

use super::auth;
use super::user_runners::{Draft, insert, new_token, room};
use crate::random;
use crate::server::answer::Answer;
use crate::server::request::{Request, text};
use crate::sim::Sim;
use crate::world::runner::RunnerType;

/// `POST runners`: the legacy registration. 410 unless registration tokens are allowed; then the projects' tokens are
/// `GR1348941` and the project's id.
pub(super) fn register(sim: &Sim, request: &Request) -> Result<Answer, Answer> {
    let params = request.params()?;
    sim.with(|world| {
        if !world.settings.registration_tokens {
            return Err(Answer::message(410, "410 Gone"));
        }
        let token = text(&params, "token").ok_or_else(|| Answer::error(400, "token is missing"))?;
        let project = token.strip_prefix("GR1348941").and_then(|id| id.parse::<u64>().ok());
        let project = project.filter(|id| world.projects.contains_key(id));
        let project = project.ok_or_else(|| Answer::message(403, "403 Forbidden - Invalid token supplied"))?;
        let draft = Draft::read(&params, Draft::empty(RunnerType::Project))?;
        room(world, RunnerType::Project, None, &[project])?;
        let id = insert(world, draft, format!("glrtr-{}", random::word(20)), None, vec![project]);
        Ok(Answer::json(201, &token_of(world.runners.get(&id).map(|runner| (id, runner.token.as_str())))))
    })
}

/// `POST runners/verify`: proves the token and keeps the machine online.
pub(super) fn verify(sim: &Sim, request: &Request) -> Result<Answer, Answer> {
    let params = request.params()?;
    sim.with(|world| {
        let id = auth::runner(world, request, &params)?;
        let system_id = text(&params, "system_id");
        if let Some(system_id) = &system_id {
            world.check_system_id(id, system_id).map_err(|why| Answer::error(400, why))?;
        }
        world.contact(id, system_id.as_deref(), params.get("info").and_then(Value::as_object));
        Ok(Answer::json(200, &token_of(world.runners.get(&id).map(|runner| (id, runner.token.as_str())))))
    })
}

/// `DELETE runners`: the runner with all its machines.
pub(super) fn remove(sim: &Sim, request: &Request) -> Result<Answer, Answer> {
    let params = request.params()?;
    sim.with(|world| {
        let id = auth::runner(world, request, &params)?;
        world.runners.remove(&id);
        Ok(Answer::empty(204))
    })
}

/// `DELETE runners/managers`: one machine.
pub(super) fn remove_manager(sim: &Sim, request: &Request) -> Result<Answer, Answer> {
    let params = request.params()?;
    sim.with(|world| {
        let Some(system_id) = text(&params, "system_id") else {
            return Err(Answer::error(400, "system_id is missing"));
        };
        let id = auth::runner(world, request, &params)?;
        let removed = world.runners.get_mut(&id).and_then(|runner| runner.managers.remove(&system_id));
        removed
            .map(|_| Answer::empty(204))
            .ok_or_else(|| Answer::message(404, "404 Runner manager not found Not Found"))
    })
}

/// `POST runners/reset_authentication_token`: the old token dies at once.
pub(super) fn reset_token(sim: &Sim, request: &Request) -> Result<Answer, Answer> {
    let params = request.params()?;
    sim.with(|world| {
        let id = auth::runner(world, request, &params)?;
        let runner = world.runners.get_mut(&id).ok_or_else(|| Answer::message(403, "403 Forbidden"))?;
        runner.token = new_token(runner.kind);
        Ok(Answer::json(201, &json!({"token": runner.token, "token_expires_at": null})))
    })
}

fn token_of(runner: Option<(u64, &str)>) -> Value {
    let (id, token) = runner.unwrap_or_default();
    json!({"id": id, "token": token, "token_expires_at": null})
}
