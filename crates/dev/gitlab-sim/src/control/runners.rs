//! `runners`: which machines GitLab has records of; `tokens`: who may make and end them.

use serde::Deserialize;
use serde_json::{Value, json};

use super::body;
use crate::random;
use crate::server::answer::Answer;
use crate::server::request::Request;
use crate::sim::Sim;

/// The scopes of GitLab that this one tells apart.
const SCOPES: [&str; 4] = ["api", "read_api", "create_runner", "manage_runner"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    scopes: Vec<String>,
}

/// `POST tokens`.
pub(super) fn token(sim: &Sim, request: &Request) -> Result<Answer, Answer> {
    let Wish { scopes } = body(request)?;
    if let Some(odd) = scopes.iter().find(|scope| !SCOPES.contains(&scope.as_str())) {
        return Err(Answer::error(400, format!("{odd:?} is no scope; there are {}", SCOPES.join(", "))));
    }
    let token = format!("glpat-{}", random::word(20));
    sim.with(|world| world.tokens.insert(token.clone(), scopes));
    Ok(Answer::json(201, &json!({"token": token})))
}

/// `GET runners`.
#[expect(clippy::unnecessary_wraps, reason = "as every call of the control interface")]
pub(super) fn list(sim: &Sim) -> Result<Answer, Answer> {
    let runners = sim.look(|world| {
        let shown = world.runners.values().map(|runner| {
            let managers: Vec<&String> = runner.managers.keys().collect();
            json!({"id": runner.id, "description": runner.description, "tags": runner.tags, "managers": managers})
        });
        shown.collect::<Vec<_>>()
    });
    Ok(Answer::json(200, &Value::Array(runners)))
}
