//! `settings`, `faults`, `reset`.

use serde::Deserialize;
use serde_json::{Value, json};

use super::body;
use crate::faults::{Fault, FaultRule};
use crate::server::answer::Answer;
use crate::server::request::Request;
use crate::sim::Sim;
use crate::world::World;
use crate::world::hook::{HookFaults, HookRule};
use crate::world::settings::Settings;

/// The largest of the three things that `POST faults` takes: a list of rules, one rule, or all kinds of faults.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Kinds {
    http: Vec<FaultRule>,
    hooks: Option<HookFaults>,
    hooks_of: Vec<HookRule>,
}

/// `POST faults`: adds rules; `hooks` replaces the faults of all deliveries.
pub(super) fn add_faults(sim: &Sim, request: &Request) -> Result<Answer, Answer> {
    let kinds = match body::<Value>(request)? {
        Value::Array(_) => Kinds { http: body(request)?, ..Kinds::default() },
        Value::Object(object) if object.contains_key("do") => Kinds { http: vec![body(request)?], ..Kinds::default() },
        _ => body(request)?,
    };
    let faults: Result<Vec<Fault>, String> = kinds.http.into_iter().map(Fault::new).collect();
    let faults = faults.map_err(|why| Answer::error(400, why))?;
    for rule in &kinds.hooks_of {
        rule.fate().map_err(|why| Answer::error(400, why))?;
    }
    sim.with(|world| {
        world.faults.extend(faults);
        world.hook_rules.extend(kinds.hooks_of);
        if let Some(hooks) = kinds.hooks {
            world.hook_faults = hooks;
        }
        Ok(Answer::json(201, &faults_view(world)))
    })
}

/// `GET faults`.
pub(super) fn faults(sim: &Sim) -> Result<Answer, Answer> {
    Ok(sim.look(|world| Answer::json(200, &faults_view(world))))
}

/// `DELETE faults`: all of them, or those of one name; what is kept back stays so until `hooks/release`.
pub(super) fn clear_faults(sim: &Sim, request: &Request) -> Result<Answer, Answer> {
    let named = request.query("name");
    sim.with(|world| match &named {
        None => {
            world.faults.clear();
            world.hook_rules.clear();
            world.hook_faults = HookFaults::default();
        }
        named => {
            world.faults.retain(|fault| fault.rule.name != *named);
            world.hook_rules.retain(|rule| rule.name != *named);
        }
    });
    Ok(Answer::empty(204))
}

fn faults_view(world: &World) -> Value {
    json!({"http": world.faults, "hooks": world.hook_faults, "hooks_of": world.hook_rules})
}

/// `POST settings`: changes the settings that it names; the answer is all of them.
pub(super) fn change(sim: &Sim, request: &Request) -> Result<Answer, Answer> {
    let wish: serde_json::Map<String, Value> = body(request)?;
    sim.with(|world| {
        let mut all = serde_json::to_value(&world.settings).unwrap_or_default();
        if let Value::Object(object) = &mut all {
            object.extend(wish);
        }
        world.settings = serde_json::from_value::<Settings>(all)
            .map_err(|error| Answer::error(400, format!("settings: {error}")))?;
        Ok(settings_view(world))
    })
}

/// `GET settings`.
pub(super) fn settings(sim: &Sim) -> Result<Answer, Answer> {
    Ok(sim.look(settings_view))
}

fn settings_view(world: &World) -> Answer {
    Answer::json(200, &serde_json::to_value(&world.settings).unwrap_or_default())
}

/// `POST reset`: projects, pipelines, jobs, runners, hooks, records, faults and settings are gone. Files stay until the
/// state directory is removed.
pub(super) fn reset(sim: &Sim) -> Result<Answer, Answer> {
    sim.with(World::reset);
    Ok(Answer::empty(204))
}
