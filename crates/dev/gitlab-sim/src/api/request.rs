//! `POST jobs/request` (contract, section 3.2).

use std::time::Duration;

use serde_json::{Map, Value};

use super::auth;
use crate::body::job_body;
use crate::server::answer::Answer;
use crate::server::request::{Request, text};
use crate::sim::Sim;
use crate::world::World;
use crate::world::settings::millis;

/// Hands a job out, or says that there is none.
pub(super) async fn ask(sim: &Sim, request: &Request) -> Answer {
    let params = match request.params() {
        Ok(params) => params,
        Err(answer) => return answer,
    };
    if let Some(limit) = sim.with(|world| hold(world, &params)) {
        let before = text(&params, "last_update");
        sim.wait(limit, |world| (before != Some(last_update(world))).then_some(())).await;
    }
    sim.with(|world| answer(world, request, &params)).unwrap_or_else(|answer| answer)
}

/// How long to hold the request: only when nothing changed since the runner last asked, and long-polling is on.
fn hold(world: &mut World, params: &Map<String, Value>) -> Option<Duration> {
    let same = text(params, "last_update")? == last_update(world);
    let length = millis(world.settings.long_poll_s);
    (same && length > 0).then(|| Duration::from_millis(length))
}

fn last_update(world: &World) -> String {
    format!("{:016x}", world.queue_version)
}

fn answer(world: &mut World, request: &Request, params: &Map<String, Value>) -> Result<Answer, Answer> {
    let runner = auth::runner(world, request, params)?;
    let token = text(params, "token").unwrap_or_default();
    let limit = world.settings.request_per_min;
    if world.over_rate("request", &token, limit).is_some() {
        return Err(auth::too_many(60));
    }
    let system_id = text(params, "system_id");
    if let Some(system_id) = &system_id {
        world.check_system_id(runner, system_id).map_err(|why| Answer::error(400, why))?;
    }
    let info = params.get("info").and_then(Value::as_object).cloned().unwrap_or_default();
    world.contact(runner, system_id.as_deref(), Some(&info));
    let unchanged = text(params, "last_update").is_some_and(|given| given == last_update(world));
    let job = if unchanged { None } else { world.offer(runner, system_id.as_deref(), &info) };
    match job.and_then(|id| job_body(world, id)) {
        Some(body) => Ok(Answer { job, ..Answer::json(201, &body) }),
        None => Ok(Answer::empty(204).with("X-GitLab-Last-Update", last_update(world))),
    }
}
