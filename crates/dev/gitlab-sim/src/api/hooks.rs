//! `projects/:id/hooks`: secrets go in and never come out.

use serde_json::{Map, Value, json};

use super::{auth, page};
use crate::clock::api_text;
use crate::hooks::deliver::deliver;
use crate::hooks::signature;
use crate::server::answer::Answer;
use crate::server::request::{Request, flag, text};
use crate::sim::Sim;
use crate::world::World;
use crate::world::hook::{DeliveryState, Hook};

/// How often a person may try a hook per minute (contract, section 1.3).
const TESTS_PER_MIN: u64 = 5;

/// A hook as GitLab shows it.
pub(crate) fn entity(world: &World, hook: &Hook) -> Value {
    json!({
        "id": hook.id,
        "url": hook.url,
        "name": null,
        "description": null,
        "created_at": api_text(hook.created_at),
        "project_id": hook.project,
        "push_events": false,
        "tag_push_events": false,
        "merge_requests_events": false,
        "pipeline_events": false,
        "job_events": hook.job_events,
        "enable_ssl_verification": hook.verify_tls,
        "alert_status": hook.alert_status(world.now),
        "disabled_until": hook.disabled_until.map(api_text),
        "url_variables": [],
        "custom_headers": [],
        "token_present": hook.token.is_some(),
        "signing_token_present": hook.signing_token.is_some(),
    })
}

/// Changes a hook as the parameters say.
///
/// # Errors
/// 422 for a URL that is none or leads away from this machine, 400 for a broken signing token.
pub(crate) fn apply(hook: &mut Hook, params: &Map<String, Value>) -> Result<(), Answer> {
    if let Some(url) = text(params, "url") {
        if !is_local(&url) {
            return Err(Answer::error(422, "Invalid url given: only http and https to the loopback interface"));
        }
        hook.url = url;
    }
    if let Some(token) = text(params, "signing_token") {
        if !token.is_empty() && signature::key(&token).is_none() {
            let problem = "must be whsec_ followed by the base64 of 32 bytes";
            return Err(Answer::json(400, &json!({"message": {"signing_token": [problem]}})));
        }
        hook.signing_token = Some(token).filter(|token| !token.is_empty());
    }
    if let Some(token) = text(params, "token") {
        hook.token = Some(token).filter(|token| !token.is_empty());
    }
    hook.job_events = flag(params, "job_events").unwrap_or(hook.job_events);
    hook.verify_tls = flag(params, "enable_ssl_verification").unwrap_or(hook.verify_tls);
    Ok(())
}

/// Nothing may leave this machine.
fn is_local(text: &str) -> bool {
    let Ok(url) = url::Url::parse(text) else { return false };
    let local = match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    };
    local && matches!(url.scheme(), "http" | "https")
}

/// An empty hook of a project; it is not stored.
pub(crate) fn blank(world: &World, project: u64, job_events: bool) -> Hook {
    Hook {
        id: 0,
        project,
        url: String::new(),
        token: None,
        signing_token: None,
        job_events,
        verify_tls: true,
        host_header: None,
        created_at: world.now,
        failures: 0,
        disabled_until: None,
        disabled: false,
    }
}

/// Stores a hook; its id.
pub(crate) fn insert(world: &mut World, mut hook: Hook) -> u64 {
    world.ids.hook += 1;
    hook.id = world.ids.hook;
    world.hooks.insert(hook.id, hook);
    world.ids.hook
}

/// `GET projects/:id/hooks`, for maintainers.
pub(super) fn list(sim: &Sim, request: &Request, project: u64) -> Result<Answer, Answer> {
    let (base, maintainer, hooks) = sim.look(|world| {
        let own = world.hooks.values().filter(|hook| hook.project == project);
        let hooks: Vec<Value> = own.map(|hook| entity(world, hook)).collect();
        (world.place.url.clone(), world.settings.token_of_maintainer, hooks)
    });
    if !maintainer {
        return Err(Answer::message(403, "403 Forbidden"));
    }
    Ok(page::page(request, &base, hooks))
}

/// `POST projects/:id/hooks`.
pub(super) fn create(sim: &Sim, request: &Request, project: u64) -> Result<Answer, Answer> {
    let params = request.params()?;
    if text(&params, "url").is_none() {
        return Err(Answer::error(400, "url is missing"));
    }
    sim.with(|world| {
        let mut hook = blank(world, project, false);
        apply(&mut hook, &params)?;
        let id = insert(world, hook);
        Ok(shown(world, project, id, 201))
    })
}

/// `GET projects/:id/hooks/:hook_id`.
pub(super) fn show(sim: &Sim, project: u64, id: &str) -> Result<Answer, Answer> {
    let id = auth::id(id, "hook_id")?;
    Ok(sim.look(|world| shown(world, project, id, 200)))
}

/// `PUT projects/:id/hooks/:hook_id`.
pub(super) fn edit(sim: &Sim, request: &Request, project: u64, id: &str) -> Result<Answer, Answer> {
    let id = auth::id(id, "hook_id")?;
    let params = request.params()?;
    sim.with(|world| {
        let mut hook = world.hooks.get(&id).filter(|hook| hook.project == project).cloned().ok_or_else(not_found)?;
        apply(&mut hook, &params)?;
        world.hooks.insert(id, hook);
        Ok(shown(world, project, id, 200))
    })
}

/// `DELETE projects/:id/hooks/:hook_id`.
pub(super) fn delete(sim: &Sim, project: u64, id: &str) -> Result<Answer, Answer> {
    let id = auth::id(id, "hook_id")?;
    sim.with(|world| {
        world.hooks.get(&id).filter(|hook| hook.project == project).ok_or_else(not_found)?;
        world.hooks.remove(&id);
        Ok(Answer::empty(204))
    })
}

/// `POST projects/:id/hooks/:hook_id/test/job_events`: a message about the project's newest job, sent at once, whether the
/// hook is disabled or not. Its success makes a disabled hook work again.
pub(super) async fn test(sim: &Sim, project: u64, id: &str) -> Answer {
    let sent = auth::id(id, "hook_id").and_then(|id| sim.with(|world| test_delivery(world, project, id)));
    let delivery = match sent {
        Ok(delivery) => delivery,
        Err(answer) => return answer,
    };
    deliver(sim.clone(), delivery).await;
    let state = sim.look(|world| world.deliveries.get(&delivery).map(|delivery| (delivery.state, delivery.answer)));
    match state {
        Some((DeliveryState::Done, _)) => Answer::message(201, "201 Created"),
        Some((_, Some(status))) => Answer::message(422, format!("The webhook failed with HTTP status {status}.")),
        _ => Answer::message(422, "The webhook could not be delivered."),
    }
}

fn test_delivery(world: &mut World, project: u64, id: u64) -> Result<u64, Answer> {
    world.hooks.get(&id).filter(|hook| hook.project == project).ok_or_else(not_found)?;
    if let Some(wait) = world.over_rate("hook_test", "admin", TESTS_PER_MIN) {
        return Err(auth::too_many(wait));
    }
    let job = world.jobs.values().rev().find(|job| job.project == project).map(|job| job.id);
    let delivery = job.and_then(|job| world.test_message(id, job));
    delivery.ok_or_else(|| Answer::message(422, "Ensure the project has CI jobs."))
}

fn shown(world: &World, project: u64, id: u64, status: u16) -> Answer {
    let hook = world.hooks.get(&id).filter(|hook| hook.project == project);
    hook.map_or_else(not_found, |hook| Answer::json(status, &entity(world, hook)))
}

fn not_found() -> Answer {
    Answer::message(404, "404 Not found")
}
