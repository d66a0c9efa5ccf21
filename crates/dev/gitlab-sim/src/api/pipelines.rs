//! `projects/:id` and its pipelines.

use super::{auth, entity};
use crate::control::variables;
use crate::launch::{LaunchError, Wish, launch};
use crate::server::answer::Answer;
use crate::server::request::{Request, text};
use crate::sim::Sim;

/// `GET projects/:id`.
pub(super) fn show_project(sim: &Sim, id: u64) -> Result<Answer, Answer> {
    let project = sim.look(|world| world.projects.get(&id).map(|project| entity::project(world, project)));
    project.map(|project| Answer::json(200, &project)).ok_or_else(|| Answer::message(404, "404 Project Not Found"))
}

/// `GET projects/:id/pipelines/:pipeline_id`.
pub(super) fn show(sim: &Sim, project: u64, id: &str) -> Result<Answer, Answer> {
    let id = auth::id(id, "pipeline_id")?;
    let found = sim.look(|world| {
        let pipeline = world.pipelines.get(&id).filter(|pipeline| pipeline.project == project)?;
        Some(entity::pipeline(world, pipeline))
    });
    found.map(|pipeline| Answer::json(200, &pipeline)).ok_or_else(|| Answer::message(404, "404 Not Found"))
}

/// `POST projects/:id/pipeline`.
pub(super) async fn create(sim: &Sim, request: &Request, project: u64) -> Answer {
    let wish = request.params().and_then(|params| {
        let ref_name = text(&params, "ref").ok_or_else(|| Answer::error(400, "ref is missing"))?;
        let given = variables::read(params.get("variables")).map_err(|why| Answer::error(400, why))?;
        Ok(Wish { project, ref_name: Some(ref_name), make: None, variables: given, source: "api".to_owned() })
    });
    let wish = match wish {
        Ok(wish) => wish,
        Err(answer) => return answer,
    };
    match launch(sim, wish).await {
        Ok(id) => {
            let made = sim.look(|world| world.pipelines.get(&id).map(|pipeline| entity::pipeline(world, pipeline)));
            made.map_or_else(|| Answer::message(404, "404 Not Found"), |pipeline| Answer::json(201, &pipeline))
        }
        Err(error) => refusal(&error),
    }
}

fn refusal(error: &LaunchError) -> Answer {
    match error {
        LaunchError::NoProject => Answer::message(404, error.to_string()),
        LaunchError::Git(_) | LaunchError::Ending => Answer::message(500, error.to_string()),
        _ => Answer::json(400, &serde_json::json!({"message": {"base": [error.to_string()]}})),
    }
}
