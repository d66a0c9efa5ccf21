//! `runners`: which machines GitLab has records of.

use serde_json::{Value, json};

use crate::server::answer::Answer;
use crate::sim::Sim;

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
