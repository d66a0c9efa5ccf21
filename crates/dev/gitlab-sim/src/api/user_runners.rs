//! Calls of people about runners (contract, section 2).

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{auth, entity};
use crate::random;
use crate::server::answer::Answer;
use crate::server::request::{Request, flag, list, number, text};
use crate::sim::Sim;
use crate::world::World;
use crate::world::runner::{Runner, RunnerType};

/// GitLab's shortest `maximum_timeout`, in seconds.
const SHORTEST_MAXIMUM_S: u64 = 600;
/// GitLab's most tags of a runner.
const MOST_TAGS: usize = 50;

/// The settings of a runner, as calls give them.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    kind: RunnerType,
    description: String,
    maintenance_note: String,
    tags: Vec<String>,
    run_untagged: bool,
    ref_protected: bool,
    paused: bool,
    locked: bool,
    maximum_timeout: Option<u64>,
}

impl Draft {
    /// GitLab's defaults.
    pub(super) fn empty(kind: RunnerType) -> Self {
        Self {
            kind,
            description: String::new(),
            maintenance_note: String::new(),
            tags: Vec::new(),
            run_untagged: true,
            ref_protected: false,
            paused: false,
            locked: false,
            maximum_timeout: None,
        }
    }

    fn of(runner: &Runner) -> Self {
        Self {
            kind: runner.kind,
            description: runner.description.clone(),
            maintenance_note: runner.maintenance_note.clone(),
            tags: runner.tags.clone(),
            run_untagged: runner.run_untagged,
            ref_protected: runner.ref_protected,
            paused: runner.paused,
            locked: runner.locked,
            maximum_timeout: runner.maximum_timeout,
        }
    }

    /// With what the parameters say.
    ///
    /// # Errors
    /// The 400 that GitLab gives.
    pub(super) fn read(params: &Map<String, Value>, before: Self) -> Result<Self, Answer> {
        let mut tags = list(params, "tag_list").unwrap_or(before.tags);
        let mut seen = std::collections::BTreeSet::new();
        tags.retain(|tag| seen.insert(tag.clone()));
        let ref_protected = match text(params, "access_level").as_deref() {
            None => before.ref_protected,
            Some("not_protected") => false,
            Some("ref_protected") => true,
            Some(_) => return Err(Answer::error(400, "access_level does not have a valid value")),
        };
        let draft = Self {
            kind: before.kind,
            description: text(params, "description").unwrap_or(before.description),
            maintenance_note: text(params, "maintenance_note").unwrap_or(before.maintenance_note),
            tags,
            run_untagged: flag(params, "run_untagged").unwrap_or(before.run_untagged),
            ref_protected,
            paused: flag(params, "paused").unwrap_or(before.paused),
            locked: flag(params, "locked").unwrap_or(before.locked),
            maximum_timeout: number(params, "maximum_timeout").or(before.maximum_timeout),
        };
        draft.check()
    }

    fn check(self) -> Result<Self, Answer> {
        let invalid = |field: &str, problem: &str| Err(Answer::json(400, &json!({"message": {field: [problem]}})));
        if self.tags.is_empty() && !self.run_untagged {
            return invalid("tags_list", "can not be empty when runner is not allowed to pick untagged jobs");
        }
        if self.maximum_timeout.is_some_and(|seconds| seconds < SHORTEST_MAXIMUM_S) {
            return invalid("maximum_timeout", "needs to be at least 10 minutes");
        }
        if self.tags.len() > MOST_TAGS {
            return invalid("tags_list", "Too many tags specified. Please limit the number of tags to 50");
        }
        if self.maintenance_note.chars().count() > 1024 {
            return invalid("maintenance_note", "is too long (maximum is 1024 characters)");
        }
        Ok(self)
    }
}

/// Adds a runner; its id.
pub(super) fn insert(world: &mut World, draft: Draft, token: String, group: Option<u64>, projects: Vec<u64>) -> u64 {
    world.ids.runner += 1;
    let id = world.ids.runner;
    let runner = Runner {
        id,
        token,
        kind: draft.kind,
        group,
        projects,
        description: draft.description,
        maintenance_note: draft.maintenance_note,
        tags: draft.tags,
        run_untagged: draft.run_untagged,
        ref_protected: draft.ref_protected,
        paused: draft.paused,
        locked: draft.locked,
        maximum_timeout: draft.maximum_timeout,
        created_at: world.now,
        contacted_at: None,
        managers: BTreeMap::new(),
    };
    world.runners.insert(id, runner);
    id
}

/// A token of a created runner.
pub(super) fn new_token(kind: RunnerType) -> String {
    format!("glrt-{}{}", kind.token_mark(), random::word(20))
}

/// `POST user/runners`.
pub(super) fn create(sim: &Sim, request: &Request) -> Result<Answer, Answer> {
    auth::scoped(sim, request, &["create_runner"])?;
    let params = request.params()?;
    let kind = text(&params, "runner_type").ok_or_else(|| Answer::error(400, "runner_type is missing"))?;
    let kind =
        RunnerType::from_wire(&kind).ok_or_else(|| Answer::error(400, "runner_type does not have a valid value"))?;
    let draft = Draft::read(&params, Draft::empty(kind))?;
    sim.with(|world| {
        let (group, projects) = scope(world, kind, &params)?;
        room(world, kind, group, &projects)?;
        let id = insert(world, draft, new_token(kind), group, projects);
        let token = world.runners.get(&id).map(|runner| runner.token.clone());
        Ok(Answer::json(201, &json!({"id": id, "token": token, "token_expires_at": null})))
    })
}

fn scope(world: &World, kind: RunnerType, params: &Map<String, Value>) -> Result<(Option<u64>, Vec<u64>), Answer> {
    let (group, project) = (number(params, "group_id"), number(params, "project_id"));
    match kind {
        RunnerType::Instance => Ok((None, Vec::new())),
        RunnerType::Group => {
            let group = group.ok_or_else(|| Answer::error(400, "group_id is missing"))?;
            let known = world.namespaces.values().any(|id| *id == group);
            known.then_some((Some(group), Vec::new())).ok_or_else(|| Answer::message(404, "404 Group Not Found"))
        }
        RunnerType::Project => {
            let project = project.ok_or_else(|| Answer::error(400, "project_id is missing"))?;
            let known = world.projects.contains_key(&project);
            known.then_some((None, vec![project])).ok_or_else(|| Answer::message(404, "404 Project Not Found"))
        }
    }
}

/// Refuses where the owner has as many runners as GitLab allows.
///
/// # Errors
/// The 400 that GitLab gives.
pub(super) fn room(world: &World, kind: RunnerType, group: Option<u64>, projects: &[u64]) -> Result<(), Answer> {
    let limit = world.settings.runners_per_owner;
    let beside =
        |runner: &&Runner| runner.kind == kind && runner.group == group && runner.projects.first() == projects.first();
    let there = u64::try_from(world.runners.values().filter(beside).count()).unwrap_or(u64::MAX);
    // An instance's runners are not limited.
    if kind == RunnerType::Instance || limit == 0 || there < limit {
        return Ok(());
    }
    let what = if kind == RunnerType::Group { "group" } else { "project" };
    let base = format!("Maximum number of ci registered {what} runners ({limit}) exceeded");
    Err(Answer::json(400, &json!({"message": {"runner_namespaces.base": [base]}})))
}

/// `GET runners/:id`.
pub(super) fn show(sim: &Sim, request: &Request, id: &str) -> Result<Answer, Answer> {
    auth::admin(sim, request)?;
    let id = auth::id(id, "id")?;
    let runner = sim.look(|world| world.runners.get(&id).map(|runner| entity::runner(world, runner)));
    runner.map(|runner| Answer::json(200, &runner)).ok_or_else(not_found)
}

/// `GET runners/:id/managers`.
pub(super) fn managers(sim: &Sim, request: &Request, id: &str) -> Result<Answer, Answer> {
    auth::admin(sim, request)?;
    let id = auth::id(id, "id")?;
    let managers = sim.look(|world| {
        let runner = world.runners.get(&id)?;
        Some(runner.managers.values().map(|manager| entity::manager(world, manager)).collect::<Vec<_>>())
    });
    managers.map(|managers| Answer::json(200, &Value::Array(managers))).ok_or_else(not_found)
}

/// `PUT runners/:id`.
pub(super) fn edit(sim: &Sim, request: &Request, id: &str) -> Result<Answer, Answer> {
    auth::admin(sim, request)?;
    let id = auth::id(id, "id")?;
    let params = request.params()?;
    sim.with(|world| {
        let runner = world.runners.get_mut(&id).ok_or_else(not_found)?;
        let draft = Draft::read(&params, Draft::of(runner))?;
        runner.description = draft.description;
        runner.maintenance_note = draft.maintenance_note;
        runner.tags = draft.tags;
        runner.run_untagged = draft.run_untagged;
        runner.ref_protected = draft.ref_protected;
        runner.paused = draft.paused;
        runner.locked = draft.locked;
        runner.maximum_timeout = draft.maximum_timeout;
        world.queue_version += 1;
        let shown = world.runners.get(&id).map(|runner| entity::runner(world, runner));
        shown.map(|runner| Answer::json(200, &runner)).ok_or_else(not_found)
    })
}

/// `DELETE runners/:id`.
pub(super) fn delete(sim: &Sim, request: &Request, id: &str) -> Result<Answer, Answer> {
    auth::scoped(sim, request, &["manage_runner"])?;
    let id = auth::id(id, "id")?;
    sim.with(|world| {
        let runner = world.runners.get(&id).ok_or_else(not_found)?;
        if runner.projects.len() > 1 {
            return Err(Answer::message(403, "403 Forbidden - Runner associated with more than one project"));
        }
        world.runners.remove(&id);
        Ok(Answer::empty(204))
    })
}

/// `POST runners/:id/reset_authentication_token`.
pub(super) fn reset_token(sim: &Sim, request: &Request, id: &str) -> Result<Answer, Answer> {
    auth::admin(sim, request)?;
    let id = auth::id(id, "id")?;
    sim.with(|world| {
        let runner = world.runners.get_mut(&id).ok_or_else(not_found)?;
        runner.token = new_token(runner.kind);
        Ok(Answer::json(201, &json!({"token": runner.token, "token_expires_at": null})))
    })
}

fn not_found() -> Answer {
    Answer::message(404, "404 Runner Not Found")
}
