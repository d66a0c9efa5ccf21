//! `pipelines`: starting them and waiting for their end.

use serde::Deserialize;
use serde_json::{Value, json};

use super::jobs::job_view;
use super::{body, id, not_found, variables, wait};
use crate::launch::{self, LaunchError, launch};
use crate::server::answer::Answer;
use crate::server::request::Request;
use crate::sim::Sim;
use crate::world::World;
use crate::world::project::Pipeline;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    /// Id or path.
    project: Value,
    /// Branch or tag; made at the imported commit when it is not there.
    #[serde(default, rename = "ref")]
    ref_name: Option<String>,
    /// A ref that is made is a tag.
    #[serde(default)]
    tag: bool,
    /// The pipeline's variables.
    #[serde(default)]
    variables: Option<Value>,
    /// `push` when absent.
    #[serde(default)]
    source: Option<String>,
}

/// `POST pipelines`.
pub(super) async fn create(sim: &Sim, request: &Request) -> Answer {
    match try_create(sim, request).await {
        Ok(answer) | Err(answer) => answer,
    }
}

async fn try_create(sim: &Sim, request: &Request) -> Result<Answer, Answer> {
    let wish: Wish = body(request)?;
    let name = wish.project.as_str().map_or_else(|| wish.project.to_string(), str::to_owned);
    let project = sim.look(|world| world.project(&name).map(|project| project.id));
    let wish = launch::Wish {
        project: project.ok_or_else(|| not_found("project"))?,
        make: wish.ref_name.is_some().then_some(wish.tag),
        ref_name: wish.ref_name,
        variables: variables::read(wish.variables.as_ref()).map_err(|why| Answer::error(400, why))?,
        source: wish.source.unwrap_or_else(|| "push".to_owned()),
    };
    let id = launch(sim, wish).await.map_err(|error| match error {
        LaunchError::Ending | LaunchError::Git(_) => Answer::error(500, error.to_string()),
        _ => Answer::error(400, error.to_string()),
    })?;
    sim.look(|world| world.pipelines.get(&id).map(|pipeline| Answer::json(201, &pipeline_view(world, pipeline))))
        .ok_or_else(|| not_found("pipeline"))
}

/// `GET pipelines`.
pub(super) fn list(sim: &Sim) -> Result<Answer, Answer> {
    let all =
        sim.look(|world| world.pipelines.values().map(|pipeline| pipeline_view(world, pipeline)).collect::<Vec<_>>());
    Ok(Answer::json(200, &Value::Array(all)))
}

/// `GET pipelines/:id`; with `wait_s` the answer comes when the pipeline has ended or waits for a person.
pub(super) async fn show(sim: &Sim, request: &Request, text: &str) -> Answer {
    let (id, limit) = match id(text).and_then(|id| Ok((id, wait(request)?))) {
        Ok(found) => found,
        Err(answer) => return answer,
    };
    if let Some(limit) = limit {
        sim.wait(limit, |world| (!world.pipelines.contains_key(&id) || world.is_settled(id)).then_some(())).await;
    }
    sim.look(|world| world.pipelines.get(&id).map(|pipeline| Answer::json(200, &pipeline_view(world, pipeline))))
        .unwrap_or_else(|| not_found("pipeline"))
}

fn pipeline_view(world: &World, pipeline: &Pipeline) -> Value {
    let jobs = pipeline.jobs.iter().filter_map(|id| world.jobs.get(id));
    json!({
        "id": pipeline.id,
        "iid": pipeline.iid,
        "project": pipeline.project,
        "ref": pipeline.ref_name,
        "tag": pipeline.tag,
        "protected": pipeline.protected,
        "sha": pipeline.sha,
        "source": pipeline.source,
        "status": pipeline.status.as_str(),
        "ended": pipeline.status.is_completed(),
        "settled": world.is_settled(pipeline.id),
        "created_at": pipeline.created_at,
        "started_at": pipeline.started_at,
        "finished_at": pipeline.finished_at,
        "jobs": jobs.map(|job| job_view(world, job)).collect::<Vec<_>>(),
    })
}
