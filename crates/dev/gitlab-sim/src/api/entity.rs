//! Objects as the user API shows them.

use serde_json::{Value, json};

use crate::clock::{Millis, api_text, seconds_between};
use crate::hooks::payload::{queued, ssh_url};
use crate::world::World;
use crate::world::job::Job;
use crate::world::project::{Pipeline, Project};
use crate::world::runner::{Manager, Runner, RunnerType};
use crate::world::status::Status;

/// A runner or machine that called within this time is online.
const ONLINE_MS: Millis = 2 * 60 * 60 * 1000;

/// A project.
pub(super) fn project(world: &World, project: &Project) -> Value {
    let web = format!("{}/{}", world.place.url, project.path);
    json!({
        "id": project.id,
        "name": project.title(),
        "name_with_namespace": project.full_title(),
        "path": project.slug(),
        "path_with_namespace": project.path,
        "description": null,
        "created_at": api_text(project.created_at),
        "default_branch": project.default_branch,
        "web_url": web,
        "http_url_to_repo": format!("{web}.git"),
        "ssh_url_to_repo": ssh_url(world, project),
        "visibility": "private",
        "namespace": {
            "id": project.namespace,
            "path": project.namespace_path().rsplit('/').next(),
            "full_path": project.namespace_path(),
            "kind": "group",
        },
        "ci_config_path": null,
        "jobs_enabled": true,
        "archived": false,
    })
}

/// A pipeline, in full.
pub(super) fn pipeline(world: &World, pipeline: &Pipeline) -> Value {
    let mut value = short_pipeline(world, pipeline);
    let more = json!({
        "before_sha": world.projects.get(&pipeline.project).map(|project| project.commit.before()),
        "tag": pipeline.tag,
        "yaml_errors": null,
        "user": user(world),
        "started_at": pipeline.started_at.map(api_text),
        "finished_at": pipeline.finished_at.map(api_text),
        "committed_at": null,
        "duration": pipeline.finished_at.zip(pipeline.started_at).map(|(to, from)| to.saturating_sub(from) / 1000),
        "queued_duration": pipeline.started_at.map(|at| at.saturating_sub(pipeline.created_at) / 1000),
        "coverage": null,
    });
    extend(&mut value, more);
    value
}

fn short_pipeline(world: &World, pipeline: &Pipeline) -> Value {
    json!({
        "id": pipeline.id,
        "iid": pipeline.iid,
        "project_id": pipeline.project,
        "sha": pipeline.sha,
        "ref": pipeline.ref_name,
        "status": pipeline.status.as_str(),
        "source": pipeline.source,
        "created_at": api_text(pipeline.created_at),
        "updated_at": api_text(pipeline.updated_at),
        "web_url": format!("{}/-/pipelines/{}", project_url(world, pipeline.project), pipeline.id),
    })
}

/// A job. `failure_reason` is there only when it failed.
pub(super) fn job(world: &World, job: &Job) -> Value {
    let pipeline = world.pipelines.get(&job.pipeline);
    let runner = job.hold.runner.and_then(|id| world.runners.get(&id));
    let manager = runner.and_then(|runner| runner.managers.get(job.hold.system_id.as_deref().unwrap_or("<legacy>")));
    let mut value = json!({
        "id": job.id,
        "status": job.status.as_str(),
        "stage": job.spec.stage,
        "name": job.spec.name,
        "ref": pipeline.map(|pipeline| pipeline.ref_name.clone()),
        "tag": pipeline.is_some_and(|pipeline| pipeline.tag),
        "coverage": null,
        "allow_failure": job.allow_failure,
        "created_at": api_text(job.created_at),
        "started_at": job.started_at.map(api_text),
        "finished_at": job.finished_at.map(api_text),
        "erased_at": null,
        "duration": job.started_at.map(|from| seconds_between(from, job.finished_at.unwrap_or(world.now))),
        "queued_duration": queued(job, world.now),
        "user": user(world),
        "commit": world.projects.get(&job.project).map(commit),
        "pipeline": pipeline.map(|pipeline| short_pipeline(world, pipeline)),
        "web_url": format!("{}/-/jobs/{}", project_url(world, job.project), job.id),
        "project": {"ci_job_token_scope_enabled": false},
        "artifacts": artifacts(job),
        "runner": runner.map(|runner| runner_short(world, runner)),
        "runner_manager": manager.map(|found| self::manager(world, found)),
        "artifacts_expire_at": null,
        "archived": false,
        "tag_list": job.spec.tags,
    });
    if job.status == Status::Failed {
        extend(&mut value, json!({"failure_reason": job.failure_reason}));
    }
    value
}

fn artifacts(job: &Job) -> Vec<Value> {
    let shown = job.artifacts.iter().map(|(kind, file)| {
        json!({"file_type": kind, "size": file.size, "filename": file.filename, "file_format": file.format})
    });
    shown.collect()
}

fn commit(project: &Project) -> Value {
    let commit = &project.commit;
    json!({
        "id": commit.sha,
        "short_id": commit.sha.chars().take(8).collect::<String>(),
        "title": commit.message.lines().next().unwrap_or(""),
        "message": commit.message,
        "author_name": commit.author_name,
        "author_email": commit.author_email,
    })
}

fn user(world: &World) -> Value {
    json!({
        "id": 3,
        "username": "dana",
        "name": "Dana Dev",
        "state": "active",
        "web_url": format!("{}/dana", world.place.url),
    })
}

fn runner_short(world: &World, runner: &Runner) -> Value {
    json!({
        "id": runner.id,
        "description": runner.description,
        "ip_address": null,
        "active": !runner.paused,
        "paused": runner.paused,
        "is_shared": runner.kind == RunnerType::Instance,
        "runner_type": runner.kind.as_str(),
        "name": null,
        "online": is_online(world, runner.contacted_at),
        "status": status(world, runner.contacted_at),
    })
}

/// A runner, in full.
pub(super) fn runner(world: &World, runner: &Runner) -> Value {
    let mut value = runner_short(world, runner);
    let projects = runner.projects.iter().filter_map(|id| world.projects.get(id));
    let more = json!({
        "tag_list": runner.tags,
        "run_untagged": runner.run_untagged,
        "locked": runner.locked,
        "maximum_timeout": runner.maximum_timeout,
        "access_level": if runner.ref_protected { "ref_protected" } else { "not_protected" },
        "maintenance_note": runner.maintenance_note,
        "contacted_at": runner.contacted_at.map(api_text),
        "created_at": api_text(runner.created_at),
        "projects": projects.map(|project| json!({"id": project.id, "path_with_namespace": project.path})).collect::<Vec<_>>(),
        "groups": runner.group.map(|id| json!({"id": id})).into_iter().collect::<Vec<_>>(),
    });
    extend(&mut value, more);
    value
}

/// A machine of a runner.
pub(super) fn manager(world: &World, manager: &Manager) -> Value {
    let said = |key: &str| manager.info.get(key).cloned().unwrap_or(Value::Null);
    json!({
        "id": manager.id,
        "system_id": manager.system_id,
        "version": said("version"),
        "revision": said("revision"),
        "platform": said("platform"),
        "architecture": said("architecture"),
        "created_at": api_text(manager.created_at),
        "contacted_at": api_text(manager.contacted_at),
        "ip_address": "127.0.0.1",
        "status": status(world, Some(manager.contacted_at)),
    })
}

fn is_online(world: &World, contacted_at: Option<Millis>) -> bool {
    contacted_at.is_some_and(|at| world.now.saturating_sub(at) < ONLINE_MS)
}

fn status(world: &World, contacted_at: Option<Millis>) -> &'static str {
    match contacted_at {
        None => "never_contacted",
        Some(_) if is_online(world, contacted_at) => "online",
        Some(_) => "offline",
    }
}

fn project_url(world: &World, id: u64) -> String {
    let path = world.projects.get(&id).map_or("", |project| project.path.as_str());
    format!("{}/{path}", world.place.url)
}

fn extend(value: &mut Value, more: Value) {
    if let (Value::Object(object), Value::Object(more)) = (value, more) {
        object.extend(more);
    }
}
