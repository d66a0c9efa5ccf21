//! Who may call what.

use serde_json::{Map, Value};

use crate::server::answer::Answer;
use crate::server::request::{Request, text};
use crate::sim::Sim;
use crate::world::World;
use crate::world::runner::RunnerType;

/// Lets the admin in, by `PRIVATE-TOKEN` or as a bearer; also other tokens of his with the scope `api`, and to look with
/// `read_api`.
///
/// # Errors
/// The 401, or the 403 of a token that may not do this.
pub(crate) fn admin(sim: &Sim, request: &Request) -> Result<(), Answer> {
    let reads = request.method == "GET";
    scoped(sim, request, if reads { &["read_api"] } else { &[] })
}

/// Lets tokens in with one of these scopes, or with `api`.
///
/// # Errors
/// The 401, or the 403 of a token that may not do this.
pub(crate) fn scoped(sim: &Sim, request: &Request, scopes: &[&str]) -> Result<(), Answer> {
    let bearer = request.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
    let given = request.header("private-token").or(bearer).map(str::to_owned);
    let given = given.or_else(|| request.query("private_token"));
    if given.as_deref() == Some(sim.place().admin_token.as_str()) {
        return Ok(());
    }
    let known = sim.look(|world| given.and_then(|token| world.tokens.get(&token).cloned()));
    match known {
        Some(has) if has.iter().any(|scope| scope == "api" || scopes.contains(&scope.as_str())) => Ok(()),
        Some(_) => Err(insufficient(scopes)),
        None => Err(Answer::message(401, "401 Unauthorized")),
    }
}

/// GitLab's 403 for a token whose scopes do not cover a call.
fn insufficient(scopes: &[&str]) -> Answer {
    let needed: Vec<&str> = ["api"].iter().chain(scopes).copied().collect();
    let body = serde_json::json!({
        "error": "insufficient_scope",
        "error_description": "The request requires higher privileges than provided by the access token.",
        "scope": needed.join(" "),
    });
    Answer::json(403, &body)
}

/// Lets the admin in and finds the project, by id or by path.
///
/// # Errors
/// The 401 or 404.
pub(super) fn project(sim: &Sim, request: &Request, name: &str) -> Result<u64, Answer> {
    admin(sim, request)?;
    let found = sim.look(|world| world.project(name).map(|project| project.id));
    found.ok_or_else(|| Answer::message(404, "404 Project Not Found"))
}

/// The runner of a body's `token`.
///
/// # Errors
/// 400 without a token, 403 for a wrong one, 422 for a project runner without a project.
pub(super) fn runner(world: &mut World, request: &Request, params: &Map<String, Value>) -> Result<u64, Answer> {
    let Some(token) = text(params, "token").filter(|token| !token.is_empty()) else {
        return Err(Answer::error(400, "token is missing"));
    };
    if request.header("runner-token").is_some_and(|header| header != token) {
        world.violation("two_tokens", None, format!("RUNNER-TOKEN differs from the body's token on {}", request.path));
    }
    let Some(runner) = world.runners.values().find(|runner| runner.token == token) else {
        return Err(Answer::message(403, "403 Forbidden"));
    };
    if runner.kind == RunnerType::Project && runner.projects.is_empty() {
        return Err(Answer::message(422, "Runner is orphaned"));
    }
    Ok(runner.id)
}

/// The 429 of a rate limit; the caller may come back after so many seconds.
pub(super) fn too_many(wait_s: u64) -> Answer {
    let message = "This endpoint has been requested too many times. Try again later.";
    Answer::message(429, message).with("Retry-After", wait_s.to_string())
}

/// A numeric id in a path.
///
/// # Errors
/// The 400 of Grape for anything else.
pub(super) fn id(text: &str, name: &str) -> Result<u64, Answer> {
    text.parse().map_err(|_| Answer::error(400, format!("{name} is invalid")))
}
