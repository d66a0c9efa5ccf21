//! `hooks` and `deliveries`.

use serde_json::{Value, json};

use super::{id, not_found, wait};
use crate::api::hooks::{apply, blank, entity, insert};
use crate::server::answer::Answer;
use crate::server::request::{Request, text};
use crate::sim::Sim;
use crate::world::World;
use crate::world::hook::Delivery;

/// `POST hooks` {project, url, token?, signing_token?, host_header?, job_events?}: job events unless said otherwise.
pub(super) fn create_hook(sim: &Sim, request: &Request) -> Result<Answer, Answer> {
    let params = request.params()?;
    let name = text(&params, "project").ok_or_else(|| Answer::error(400, "project is missing: an id or a path"))?;
    if text(&params, "url").is_none() {
        return Err(Answer::error(400, "url is missing"));
    }
    sim.with(|world| {
        let project = world.project(&name).map(|project| project.id).ok_or_else(|| not_found("project"))?;
        let mut hook = blank(world, project, true);
        apply(&mut hook, &params)?;
        hook.host_header = text(&params, "host_header").filter(|host| !host.is_empty());
        let id = insert(world, hook);
        shown(world, id, 201)
    })
}

/// `POST hooks/:id`: changes one, made here or by the user API.
pub(super) fn edit_hook(sim: &Sim, request: &Request, hook: &str) -> Result<Answer, Answer> {
    let hook = id(hook)?;
    let params = request.params()?;
    sim.with(|world| {
        let mut changed = world.hooks.get(&hook).cloned().ok_or_else(|| not_found("hook"))?;
        apply(&mut changed, &params)?;
        if let Some(host) = text(&params, "host_header") {
            changed.host_header = Some(host).filter(|host| !host.is_empty());
        }
        world.hooks.insert(hook, changed);
        shown(world, hook, 200)
    })
}

/// `GET hooks`.
pub(super) fn hooks(sim: &Sim) -> Result<Answer, Answer> {
    let hooks = sim.look(|world| world.hooks.keys().filter_map(|id| view(world, *id)).collect::<Vec<_>>());
    Ok(Answer::json(200, &Value::Array(hooks)))
}

fn view(world: &World, id: u64) -> Option<Value> {
    let hook = world.hooks.get(&id)?;
    let mut value = entity(world, hook);
    if let Value::Object(object) = &mut value {
        object.insert("project".to_owned(), json!(hook.project));
        object.insert("host_header".to_owned(), json!(hook.host_header));
        object.insert("failures".to_owned(), json!(hook.failures));
    }
    Some(value)
}

fn shown(world: &World, id: u64, status: u16) -> Result<Answer, Answer> {
    view(world, id).map(|hook| Answer::json(status, &hook)).ok_or_else(|| not_found("hook"))
}

/// `POST hooks/release`: lets go what is kept back. Faults stay as they are.
pub(super) fn release(sim: &Sim) -> Result<Answer, Answer> {
    let released = sim.with(World::release_hooks);
    Ok(Answer::json(200, &json!({"released": released})))
}

/// `GET deliveries`; with `wait_s` when all are over but those that are kept back. `bodies=true` adds the messages.
pub(super) async fn list(sim: &Sim, request: &Request) -> Answer {
    let limit = match wait(request) {
        Ok(limit) => limit,
        Err(answer) => return answer,
    };
    if let Some(limit) = limit {
        sim.wait(limit, |world| world.deliveries_are_over().then_some(())).await;
    }
    let bodies = request.query("bodies").as_deref() == Some("true");
    let all =
        sim.look(|world| world.deliveries.values().map(|delivery| delivery_view(delivery, bodies)).collect::<Vec<_>>());
    Answer::json(200, &Value::Array(all))
}

/// `POST deliveries/:id/resend`: the new delivery.
pub(super) fn resend(sim: &Sim, text: &str) -> Result<Answer, Answer> {
    let delivery = id(text)?;
    sim.with(|world| {
        let again = world.resend(delivery).ok_or_else(|| not_found("delivery"))?;
        let shown = world.deliveries.get(&again).map(|delivery| delivery_view(delivery, false));
        Ok(Answer::json(201, &shown.unwrap_or(Value::Null)))
    })
}

fn delivery_view(delivery: &Delivery, body: bool) -> Value {
    let mut value = serde_json::to_value(delivery).unwrap_or(Value::Null);
    if let Value::Object(object) = &mut value {
        object.remove("pause_ms");
        if !body {
            object.remove("body");
        }
    }
    value
}
