//! `projects`: a repository becomes a project.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{body, variables};
use crate::git_http::{self, Head};
use crate::server::answer::Answer;
use crate::server::request::Request;
use crate::sim::Sim;
use crate::world::World;
use crate::world::project::{Commit, Project, Ref};
use crate::world::spec::Variable;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    /// `group/project`.
    path: String,
    /// A git repository; its committed HEAD is imported.
    source: PathBuf,
    /// CI/CD variables.
    #[serde(default)]
    variables: Option<Value>,
    /// The id; the next free one when absent.
    #[serde(default)]
    id: Option<u64>,
    /// Protected refs; the default branch when absent.
    #[serde(default)]
    protected: Option<Vec<String>>,
}

/// `POST projects`.
pub(super) async fn create(sim: &Sim, request: &Request) -> Answer {
    match try_create(sim, request).await {
        Ok(answer) | Err(answer) => answer,
    }
}

async fn try_create(sim: &Sim, request: &Request) -> Result<Answer, Answer> {
    let wish: Wish = body(request)?;
    let given = variables::read(wish.variables.as_ref()).map_err(|why| Answer::error(400, why))?;
    if !is_path(&wish.path) {
        return Err(Answer::error(400, "path must be group/project, of letters, digits, _, - and ."));
    }
    let id = sim.with(|world| reserve(world, &wish))?;
    let bare = sim.place().dir.join("git").join(format!("{id}.git"));
    let (source, target) = (wish.source.clone(), bare.clone());
    let imported = tokio::task::spawn_blocking(move || git_http::import(&source, &target)).await;
    let head = imported.map_err(|_| Answer::error(500, "the simulator is ending"))?;
    let head = head.map_err(|error| Answer::error(400, format!("source: {error}")))?;
    sim.with(|world| {
        let project = project_of(world, id, &wish.path, bare, head, given, wish.protected.clone());
        world.projects.insert(id, project);
        Ok(Answer::json(201, &shown(world, id)))
    })
}

fn reserve(world: &mut World, wish: &Wish) -> Result<u64, Answer> {
    if world.project(&wish.path).is_some() {
        return Err(Answer::error(409, format!("there is a project {} already", wish.path)));
    }
    match wish.id {
        Some(id) if world.projects.contains_key(&id) => {
            Err(Answer::error(409, format!("there is a project {id} already")))
        }
        Some(id) => Ok(id),
        None => Ok(next_id(world)),
    }
}

fn next_id(world: &mut World) -> u64 {
    loop {
        world.ids.project += 1;
        if !world.projects.contains_key(&world.ids.project) {
            return world.ids.project;
        }
    }
}

/// A project around an imported commit.
pub(super) fn project_of(
    world: &mut World,
    id: u64,
    path: &str,
    repository: PathBuf,
    head: Head,
    variables: Vec<Variable>,
    protected: Option<Vec<String>>,
) -> Project {
    let namespace_path = path.rsplit_once('/').map_or("", |(namespace, _)| namespace);
    let mut at = String::new();
    for part in namespace_path.split('/') {
        at = if at.is_empty() { part.to_owned() } else { format!("{at}/{part}") };
        world.namespace(&at);
    }
    let namespace = world.namespace(namespace_path);
    let root_namespace = world.namespace(namespace_path.split('/').next().unwrap_or(""));
    let tip = Ref { tag: false, sha: head.sha.clone() };
    Project {
        id,
        path: path.to_owned(),
        namespace,
        root_namespace,
        protected: protected.unwrap_or_else(|| vec![head.branch.clone()]),
        refs: BTreeMap::from([(head.branch.clone(), tip)]),
        default_branch: head.branch,
        repository,
        variables: variables.into_iter().map(|variable| Variable { public: false, ..variable }).collect(),
        commit: Commit {
            sha: head.sha,
            parent: head.parent_sha,
            committed_at_s: head.committed_at_s,
            message: head.message,
            author_name: head.author_name,
            author_email: head.author_email,
        },
        created_at: world.now,
        pipelines: 0,
    }
}

/// `GET projects`.
pub(super) fn list(sim: &Sim) -> Result<Answer, Answer> {
    let projects = sim.look(|world| world.projects.keys().map(|id| shown(world, *id)).collect::<Vec<_>>());
    Ok(Answer::json(200, &Value::Array(projects)))
}

fn shown(world: &World, id: u64) -> Value {
    let Some(project) = world.projects.get(&id) else { return Value::Null };
    json!({
        "id": project.id,
        "path": project.path,
        "default_branch": project.default_branch,
        "sha": project.commit.sha,
        "namespace_id": project.namespace,
        "root_namespace_id": project.root_namespace,
        "web_url": format!("{}/{}", world.place.url, project.path),
        "git_url": format!("{}/{}.git", world.place.url, project.path),
    })
}

fn is_path(path: &str) -> bool {
    let part = |part: &str| {
        !part.is_empty()
            && !part.starts_with(['.', '-'])
            && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
    };
    path.contains('/') && path.split('/').all(part) && !["api/", "_sim/"].iter().any(|taken| path.starts_with(taken))
}
