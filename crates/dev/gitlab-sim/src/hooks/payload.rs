//! The body of a job event: GitLab's fields in GitLab's order (contract, section 1.4).

use serde::Serialize;

use crate::clock::{Millis, iso_text, seconds_between};
use crate::world::World;
use crate::world::job::Job;
use crate::world::project::{Pipeline, Project};
use crate::world::status::Status;

#[derive(Serialize)]
struct JobEvent {
    object_kind: &'static str,
    #[serde(rename = "ref")]
    ref_name: String,
    tag: bool,
    before_sha: String,
    sha: String,
    retries_count: u32,
    build_id: u64,
    build_name: String,
    build_stage: String,
    build_status: &'static str,
    build_created_at: String,
    build_started_at: Option<String>,
    build_finished_at: Option<String>,
    build_created_at_iso: String,
    build_started_at_iso: Option<String>,
    build_finished_at_iso: Option<String>,
    build_duration: Option<f64>,
    build_queued_duration: Option<f64>,
    build_allow_failure: bool,
    build_failure_reason: Option<String>,
    pipeline_id: u64,
    runner: Option<RunnerPart>,
    project_id: u64,
    project_name: String,
    user: UserPart,
    commit: CommitPart,
    repository: RepositoryPart,
    project: ProjectPart,
    environment: Option<()>,
}

#[derive(Serialize)]
struct RunnerPart {
    id: u64,
    description: String,
    runner_type: &'static str,
    active: bool,
    is_shared: bool,
    tags: Vec<String>,
}

#[derive(Serialize)]
struct UserPart {
    id: u64,
    name: &'static str,
    username: &'static str,
    avatar_url: String,
    email: &'static str,
}

#[derive(Serialize)]
struct CommitPart {
    id: u64,
    name: Option<()>,
    sha: String,
    message: String,
    author_name: String,
    author_email: String,
    author_url: String,
    status: &'static str,
    duration: Option<u64>,
    started_at: Option<String>,
    finished_at: Option<String>,
    started_at_iso: Option<String>,
    finished_at_iso: Option<String>,
}

#[derive(Serialize)]
struct RepositoryPart {
    name: String,
    url: String,
    description: Option<()>,
    homepage: String,
    git_http_url: String,
    git_ssh_url: String,
    visibility_level: u8,
}

#[derive(Serialize)]
struct ProjectPart {
    id: u64,
    name: String,
    description: Option<()>,
    web_url: String,
    avatar_url: Option<()>,
    git_ssh_url: String,
    git_http_url: String,
    namespace: String,
    visibility_level: u8,
    path_with_namespace: String,
    default_branch: String,
    ci_config_path: &'static str,
}

/// The message for a job in that state, as compact JSON, its dates spelled by `spell`. `created` is sent in bulk and knows
/// nothing but the creation.
pub(crate) fn job_event(world: &World, id: u64, status: Status, spell: fn(Millis) -> String) -> Option<String> {
    let job = world.jobs.get(&id)?;
    let pipeline = world.pipelines.get(&job.pipeline)?;
    let project = world.projects.get(&job.project)?;
    let bulk = status == Status::Created;
    let known = |at: Option<Millis>| if bulk { None } else { at };
    let (started, finished) = (known(job.started_at), known(job.finished_at));
    let event = JobEvent {
        object_kind: "build",
        ref_name: pipeline.ref_name.clone(),
        tag: pipeline.tag,
        before_sha: project.commit.before(),
        sha: pipeline.sha.clone(),
        retries_count: job.retries_count,
        build_id: job.id,
        build_name: job.spec.name.clone(),
        build_stage: job.spec.stage.clone(),
        build_status: status.as_str(),
        build_created_at: spell(job.created_at),
        build_started_at: started.map(spell),
        build_finished_at: finished.map(spell),
        build_created_at_iso: iso_text(job.created_at),
        build_started_at_iso: started.map(iso_text),
        build_finished_at_iso: finished.map(iso_text),
        build_duration: started.map(|from| seconds_between(from, finished.unwrap_or(world.now))),
        build_queued_duration: if bulk { None } else { queued(job, world.now) },
        build_allow_failure: job.allow_failure,
        build_failure_reason: if bulk { None } else { Some(failure_reason(job)) },
        pipeline_id: pipeline.id,
        runner: if bulk || status == Status::Pending { None } else { runner(world, job) },
        project_id: project.id,
        project_name: project.full_title(),
        user: user(world),
        commit: commit(project, pipeline, spell),
        repository: repository(world, project),
        project: project_part(world, project),
        environment: None,
    };
    serde_json::to_string(&event).ok()
}

/// Seconds in the queue: until the start, the end, or now.
pub(crate) fn queued(job: &Job, now: Millis) -> Option<f64> {
    let until = job.started_at.or(job.finished_at).unwrap_or(now);
    job.queued_at.map(|from| seconds_between(from, until))
}

/// The enum's default stands for "none" in every job that has not failed.
fn failure_reason(job: &Job) -> String {
    let reason = job.failure_reason.as_deref().filter(|_| job.status == Status::Failed);
    reason.unwrap_or("unknown_failure").to_owned()
}

fn runner(world: &World, job: &Job) -> Option<RunnerPart> {
    let runner = world.runners.get(&job.hold.runner?)?;
    Some(RunnerPart {
        id: runner.id,
        description: runner.description.clone(),
        runner_type: runner.kind.as_str(),
        active: !runner.paused,
        is_shared: runner.kind == crate::world::runner::RunnerType::Instance,
        tags: runner.tags.clone(),
    })
}

fn user(world: &World) -> UserPart {
    UserPart {
        id: 3,
        name: "Dana Dev",
        username: "dana",
        avatar_url: format!("{}/uploads/-/system/user/avatar/3/avatar.png", world.place.url),
        email: "[REDACTED]",
    }
}

fn commit(project: &Project, pipeline: &Pipeline, spell: fn(Millis) -> String) -> CommitPart {
    let duration = match (pipeline.started_at, pipeline.finished_at) {
        (Some(from), Some(to)) => Some(to.saturating_sub(from) / 1000),
        (None, Some(_)) => Some(0),
        (_, None) => None,
    };
    let (started, finished) = (pipeline.started_at, pipeline.finished_at);
    CommitPart {
        id: pipeline.id,
        name: None,
        sha: pipeline.sha.clone(),
        message: project.commit.message.clone(),
        author_name: project.commit.author_name.clone(),
        author_email: project.commit.author_email.clone(),
        author_url: format!("mailto:{}", project.commit.author_email),
        status: pipeline.status.as_str(),
        duration,
        started_at: started.map(spell),
        finished_at: finished.map(spell),
        started_at_iso: started.map(iso_text),
        finished_at_iso: finished.map(iso_text),
    }
}

/// `git@host:group/project.git`.
pub(crate) fn ssh_url(world: &World, project: &Project) -> String {
    let host = url::Url::parse(&world.place.url).ok().and_then(|url| url.host_str().map(str::to_owned));
    format!("git@{}:{}.git", host.unwrap_or_default(), project.path)
}

fn repository(world: &World, project: &Project) -> RepositoryPart {
    let web = format!("{}/{}", world.place.url, project.path);
    RepositoryPart {
        name: project.title(),
        url: ssh_url(world, project),
        description: None,
        git_http_url: format!("{web}.git"),
        homepage: web,
        git_ssh_url: ssh_url(world, project),
        visibility_level: 0,
    }
}

fn project_part(world: &World, project: &Project) -> ProjectPart {
    let web = format!("{}/{}", world.place.url, project.path);
    ProjectPart {
        id: project.id,
        name: project.title(),
        description: None,
        git_http_url: format!("{web}.git"),
        web_url: web,
        avatar_url: None,
        git_ssh_url: ssh_url(world, project),
        namespace: crate::world::project::title_of(project.namespace_path().rsplit('/').next().unwrap_or("")),
        visibility_level: 0,
        path_with_namespace: project.path.clone(),
        default_branch: project.default_branch.clone(),
        ci_config_path: "",
    }
}
