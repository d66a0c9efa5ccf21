//! The body, field by field.

use serde_json::{Map, Value, json};

use super::distort::distort;
use super::predefined::repository_url;
use crate::clock::seconds_between;
use crate::world::World;
use crate::world::job::Job;
use crate::world::project::{Pipeline, Project};
use crate::world::runner::RunnerType;
use crate::world::spec::{Cache, Kept, Variable};
use crate::world::status::Status;

/// How many commits a job gets when it names no depth: GitLab's default for new projects.
const DEPTH: u64 = 20;

/// The body for a job that was just handed out. `None` when it does not exist.
pub(crate) fn job_body(world: &World, id: u64) -> Option<Value> {
    let job = world.jobs.get(&id)?;
    let pipeline = world.pipelines.get(&job.pipeline)?;
    let project = world.projects.get(&job.project)?;
    let variables = world.job_variables(job);
    let timeout = job.hold.timeout_s;
    let mut body = json!({
        "id": job.id,
        "token": job.hold.token,
        "allow_git_fetch": true,
        "job_info": job_info(world, job, project),
        "git_info": git_info(world, job, pipeline, project, &variables),
        "runner_info": {"uuid": null, "timeout": timeout, "runner_session_url": null},
        "inputs": [],
        "variables": variables.iter().map(variable).collect::<Vec<_>>(),
        "steps": steps(job, timeout),
        "hooks": [],
        "image": job.spec.image.as_deref().map(image),
        "services": job.spec.services.iter().map(|name| service(name)).collect::<Vec<_>>(),
        "artifacts": artifacts(job),
        "cache": caches(job, pipeline),
        "credentials": [],
        "dependencies": dependencies(world, job),
        "features": {
            "trace_sections": true,
            "token_mask_prefixes": ["glpat-"],
            "failure_reasons": [
                "unknown_failure", "script_failure", "runner_system_failure", "job_execution_timeout",
                "runner_configuration_error", "runner_external_dependency_failure", "runner_interrupted",
                "image_pull_failure",
            ],
        },
    });
    if let (Some(raw), Some(body)) = (&job.raw, body.as_object_mut()) {
        for (key, value) in &raw.body {
            body.insert(key.clone(), value.clone());
        }
    }
    distort(&mut body, &world.settings.distort);
    Some(body)
}

fn job_info(world: &World, job: &Job, project: &Project) -> Value {
    let runner = job.hold.runner.and_then(|id| world.runners.get(&id));
    let shared = runner.is_some_and(|runner| runner.kind == RunnerType::Instance);
    let running = world.jobs.values().filter(|other| other.project == job.project && other.status == Status::Running);
    let count = if shared { running.count().to_string() } else { "+Inf".to_owned() };
    let waited = seconds_between(job.queued_at.unwrap_or(world.now), world.now);
    json!({
        "id": job.id,
        "name": job.spec.name,
        "stage": job.spec.stage,
        "pipeline_id": job.pipeline,
        "project_id": project.id,
        "project_name": project.title(),
        "project_full_path": project.path,
        "namespace_id": project.namespace,
        "root_namespace_id": project.root_namespace,
        "organization_id": 1,
        "instance_id": "9d1c7b9e-0000-4000-8000-000000000001",
        "instance_uuid": "9d1c7b9e-0000-4000-8000-000000000002",
        "user_id": 3,
        "scoped_user_id": null,
        "time_in_queue_seconds": Value::from(std::time::Duration::from_secs_f64(waited).as_secs()),
        "project_jobs_running_on_instance_runners_count": count,
        "queue_size": world.queue.len(),
        "queue_depth": 1,
    })
}

fn git_info(world: &World, job: &Job, pipeline: &Pipeline, project: &Project, variables: &[Variable]) -> Value {
    let asked = variables.iter().rev().find(|variable| variable.key == "GIT_DEPTH");
    let depth = asked.and_then(|variable| variable.value.trim().parse::<u64>().ok()).unwrap_or(DEPTH);
    json!({
        "repo_url": repository_url(world, job, project),
        "ref": pipeline.ref_name,
        "sha": pipeline.sha,
        "before_sha": project.commit.before(),
        "ref_type": if pipeline.tag { "tag" } else { "branch" },
        "refspecs": refspecs(pipeline, depth),
        "depth": depth,
        "repo_object_format": if pipeline.sha.len() == 64 { "sha256" } else { "sha1" },
        "protected": pipeline.protected,
    })
}

/// The pipeline's own ref first, then the branch or tag; without a depth all branches and tags.
fn refspecs(pipeline: &Pipeline, depth: u64) -> Vec<String> {
    let own = format!("+refs/pipelines/{0}:refs/pipelines/{0}", pipeline.id);
    let name = &pipeline.ref_name;
    match (depth, pipeline.tag) {
        (0, _) => {
            vec![own, "+refs/heads/*:refs/remotes/origin/*".to_owned(), "+refs/tags/*:refs/tags/*".to_owned()]
        }
        (_, true) => vec![own, format!("+refs/tags/{name}:refs/tags/{name}")],
        (_, false) => vec![own, format!("+refs/heads/{name}:refs/remotes/origin/{name}")],
    }
}

/// `file` and `raw` are left out when they are false, as GitLab does.
fn variable(variable: &Variable) -> Value {
    let mut object = Map::new();
    object.insert("key".to_owned(), Value::from(variable.key.as_str()));
    object.insert("value".to_owned(), Value::from(variable.value.as_str()));
    object.insert("public".to_owned(), Value::from(variable.public));
    object.insert("masked".to_owned(), Value::from(variable.masked));
    if variable.file {
        object.insert("file".to_owned(), Value::from(true));
    }
    if variable.raw {
        object.insert("raw".to_owned(), Value::from(true));
    }
    Value::Object(object)
}

fn steps(job: &Job, timeout: u64) -> Vec<Value> {
    let mut steps = vec![json!({
        "name": "script",
        "script": job.spec.script,
        "timeout": timeout,
        "when": "on_success",
        "allow_failure": false,
    })];
    if !job.spec.after_script.is_empty() {
        steps.push(json!({
            "name": "after_script",
            "script": job.spec.after_script,
            "timeout": timeout,
            "when": "always",
            "allow_failure": true,
        }));
    }
    steps
}

/// Null for a job that keeps nothing. What GitLab does not know of an artifact is null, not left out.
fn artifacts(job: &Job) -> Value {
    let kept = |kept: &Kept| {
        let mut value = json!({
            "name": kept.name,
            "untracked": kept.untracked,
            "paths": kept.paths,
            "when": kept.when,
            "expire_in": kept.expire_in,
            "artifact_type": kept.kind,
            "artifact_format": kept.format,
        });
        if !kept.exclude.is_empty() {
            value["exclude"] = json!(kept.exclude);
        }
        value
    };
    if job.spec.artifacts.is_empty() { Value::Null } else { job.spec.artifacts.iter().map(kept).collect() }
}

/// Jobs of protected refs and of others have caches of their own, unless the file says otherwise.
fn caches(job: &Job, pipeline: &Pipeline) -> Vec<Value> {
    let kind = if pipeline.protected { "protected" } else { "non_protected" };
    let cache = |cache: &Cache| {
        let named = |key: &String| if cache.unprotect { key.clone() } else { format!("{key}-{kind}") };
        json!({
            "key": named(&cache.key),
            "untracked": cache.untracked,
            "paths": cache.paths,
            "policy": cache.policy,
            "when": cache.when,
            "fallback_keys": cache.fallback_keys.iter().map(named).collect::<Vec<_>>(),
        })
    };
    job.spec.caches.iter().map(cache).collect()
}

/// The jobs whose artifacts this one gets, with its own token; a job that left no archive is among them without one.
fn dependencies(world: &World, job: &Job) -> Vec<Value> {
    let dependency = |other: &Job| {
        let mut value = json!({"id": other.id, "name": other.spec.name, "token": job.hold.token});
        if let Some(archive) = other.artifacts.get("archive") {
            value["artifacts_file"] = json!({"filename": archive.filename, "size": archive.size});
        }
        value
    };
    world.inputs_of(job).into_iter().map(dependency).collect()
}

fn image(name: &str) -> Value {
    json!({"name": name, "entrypoint": null, "executor_opts": {}, "ports": [], "pull_policy": null})
}

fn service(name: &str) -> Value {
    json!({
        "name": name, "entrypoint": null, "executor_opts": {}, "ports": [], "pull_policy": null,
        "alias": null, "command": null, "variables": [],
    })
}
