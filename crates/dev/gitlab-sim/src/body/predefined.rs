//! GitLab's predefined variables, as far as the server sets them.

use crate::clock::iso_text;
use crate::rules::slug::{environment_slug, slug};
use crate::world::job::Job;
use crate::world::project::{Pipeline, Project};
use crate::world::spec::{Environment, Variable};
use crate::world::{VERSION, World};

/// The variables of a job that is being handed out, tokens included.
pub(super) fn variables(world: &World, job: &Job) -> Vec<Variable> {
    let (Some(pipeline), Some(project)) = (world.pipelines.get(&job.pipeline), world.projects.get(&job.project)) else {
        return Vec::new();
    };
    let mut all = secrets(world, job, project);
    let mut add = |list: Vec<(&str, String)>| all.extend(list.into_iter().map(|(k, v)| Variable::public(k, v)));
    add(of_server(world));
    add(of_project(world, project));
    add(of_pipeline(world, pipeline, project));
    add(of_commit(pipeline, project));
    add(of_job(world, job, project));
    add(of_runner(world, job));
    all
}

fn secrets(world: &World, job: &Job, project: &Project) -> Vec<Variable> {
    let hidden = |key: &str, value: String, masked| Variable { public: false, masked, ..Variable::public(key, value) };
    vec![
        hidden("CI_JOB_TOKEN", job.hold.token.clone(), true),
        hidden("CI_REPOSITORY_URL", repository_url(world, job, project), false),
    ]
}

/// The clone URL with user and job token in it.
pub(super) fn repository_url(world: &World, job: &Job, project: &Project) -> String {
    let url = &world.place.url;
    let (scheme, host) = url.split_once("://").unwrap_or(("http", url));
    format!("{scheme}://gitlab-ci-token:{}@{host}/{}.git", job.hold.token, project.path)
}

fn of_server(world: &World) -> Vec<(&'static str, String)> {
    let url = &world.place.url;
    let parsed = url::Url::parse(url).ok();
    let host = parsed.as_ref().and_then(|url| url.host_str()).unwrap_or("").to_owned();
    let port = parsed.as_ref().and_then(url::Url::port_or_known_default).unwrap_or(80);
    let protocol = parsed.as_ref().map_or("http", |url| url.scheme()).to_owned();
    let plain = VERSION.split('-').next().unwrap_or(VERSION);
    let mut parts = plain.split('.').map(str::to_owned);
    let mut part = || parts.next().unwrap_or_default();
    vec![
        ("CI", "true".to_owned()),
        ("GITLAB_CI", "true".to_owned()),
        ("CI_SERVER_URL", url.clone()),
        ("CI_SERVER_FQDN", format!("{host}:{port}")),
        ("CI_SERVER_HOST", host),
        ("CI_SERVER_PORT", port.to_string()),
        ("CI_SERVER_PROTOCOL", protocol),
        ("CI_SERVER_NAME", "GitLab".to_owned()),
        ("CI_SERVER_VERSION", VERSION.to_owned()),
        ("CI_SERVER_VERSION_MAJOR", part()),
        ("CI_SERVER_VERSION_MINOR", part()),
        ("CI_SERVER_VERSION_PATCH", part()),
        ("CI_SERVER_REVISION", "5f1c0ffee00".to_owned()),
        ("GITLAB_FEATURES", String::new()),
        ("CI_API_V4_URL", format!("{url}/api/v4")),
        ("CI_API_GRAPHQL_URL", format!("{url}/api/graphql")),
    ]
}

fn of_project(world: &World, project: &Project) -> Vec<(&'static str, String)> {
    let namespace = project.namespace_path();
    vec![
        ("CI_PROJECT_ID", project.id.to_string()),
        ("CI_PROJECT_NAME", project.slug().to_owned()),
        ("CI_PROJECT_TITLE", project.title()),
        ("CI_PROJECT_DESCRIPTION", String::new()),
        ("CI_PROJECT_PATH", project.path.clone()),
        ("CI_PROJECT_PATH_SLUG", slug(&project.path)),
        ("CI_PROJECT_NAMESPACE", namespace.to_owned()),
        ("CI_PROJECT_NAMESPACE_ID", project.namespace.to_string()),
        ("CI_PROJECT_NAMESPACE_SLUG", slug(namespace)),
        ("CI_PROJECT_ROOT_NAMESPACE", project.path.split('/').next().unwrap_or("").to_owned()),
        ("CI_PROJECT_URL", format!("{}/{}", world.place.url, project.path)),
        ("CI_PROJECT_VISIBILITY", "private".to_owned()),
        ("CI_PROJECT_REPOSITORY_LANGUAGES", String::new()),
        ("CI_PROJECT_CLASSIFICATION_LABEL", String::new()),
        ("CI_DEFAULT_BRANCH", project.default_branch.clone()),
        ("CI_DEFAULT_BRANCH_SLUG", slug(&project.default_branch)),
        ("CI_CONFIG_PATH", ".gitlab-ci.yml".to_owned()),
    ]
}

fn of_pipeline(world: &World, pipeline: &Pipeline, project: &Project) -> Vec<(&'static str, String)> {
    vec![
        ("CI_PIPELINE_ID", pipeline.id.to_string()),
        ("CI_PIPELINE_IID", pipeline.iid.to_string()),
        ("CI_PIPELINE_SOURCE", pipeline.source.clone()),
        ("CI_PIPELINE_CREATED_AT", iso_text(pipeline.created_at)),
        ("CI_PIPELINE_URL", format!("{}/{}/-/pipelines/{}", world.place.url, project.path, pipeline.id)),
        ("GITLAB_USER_ID", "3".to_owned()),
        ("GITLAB_USER_LOGIN", "dana".to_owned()),
        ("GITLAB_USER_NAME", "Dana Dev".to_owned()),
        ("GITLAB_USER_EMAIL", "dana@example.com".to_owned()),
    ]
}

fn of_commit(pipeline: &Pipeline, project: &Project) -> Vec<(&'static str, String)> {
    let commit = &project.commit;
    let (title, rest) = commit.message.split_once('\n').unwrap_or((&commit.message, ""));
    let seconds = u64::try_from(commit.committed_at_s).unwrap_or(0);
    vec![
        ("CI_COMMIT_SHA", pipeline.sha.clone()),
        ("CI_COMMIT_SHORT_SHA", pipeline.sha.chars().take(8).collect()),
        ("CI_COMMIT_BEFORE_SHA", commit.before()),
        ("CI_COMMIT_REF_NAME", pipeline.ref_name.clone()),
        ("CI_COMMIT_REF_SLUG", slug(&pipeline.ref_name)),
        (if pipeline.tag { "CI_COMMIT_TAG" } else { "CI_COMMIT_BRANCH" }, pipeline.ref_name.clone()),
        ("CI_COMMIT_MESSAGE", commit.message.clone()),
        ("CI_COMMIT_TITLE", title.to_owned()),
        ("CI_COMMIT_DESCRIPTION", rest.trim_start_matches('\n').to_owned()),
        ("CI_COMMIT_REF_PROTECTED", pipeline.protected.to_string()),
        ("CI_COMMIT_TIMESTAMP", iso_text(seconds * 1000)),
        ("CI_COMMIT_AUTHOR", format!("{} <{}>", commit.author_name, commit.author_email)),
    ]
}

fn of_job(world: &World, job: &Job, project: &Project) -> Vec<(&'static str, String)> {
    let mut list = vec![
        ("CI_JOB_ID", job.id.to_string()),
        ("CI_JOB_NAME", job.spec.name.clone()),
        ("CI_JOB_NAME_SLUG", slug(&job.spec.name)),
        ("CI_JOB_GROUP_NAME", job.spec.base_name.clone()),
        ("CI_JOB_STAGE", job.spec.stage.clone()),
        ("CI_JOB_URL", format!("{}/{}/-/jobs/{}", world.place.url, project.path, job.id)),
        ("CI_JOB_STARTED_AT", iso_text(job.started_at.unwrap_or(world.now))),
    ];
    if world.is_manual(job.id) {
        list.push(("CI_JOB_MANUAL", "true".to_owned()));
    }
    match job.spec.parallel {
        Some((index, total)) => {
            list.push(("CI_NODE_INDEX", index.to_string()));
            list.push(("CI_NODE_TOTAL", total.to_string()));
        }
        None => list.push(("CI_NODE_TOTAL", "1".to_owned())),
    }
    list
}

/// The variables of the environment with this name that a job deploys to.
pub(super) fn of_environment(environment: &Environment, name: &str) -> Vec<Variable> {
    let mut list = vec![
        Variable::public("CI_ENVIRONMENT_NAME", name),
        Variable::public("CI_ENVIRONMENT_SLUG", environment_slug(name)),
        Variable::public("CI_ENVIRONMENT_ACTION", &environment.action),
    ];
    list.extend(environment.url.iter().map(|url| Variable::public("CI_ENVIRONMENT_URL", url)));
    list
}

fn of_runner(world: &World, job: &Job) -> Vec<(&'static str, String)> {
    let Some(runner) = job.hold.runner.and_then(|id| world.runners.get(&id)) else { return Vec::new() };
    let tags: Vec<String> = runner.tags.iter().map(|tag| format!("{tag:?}")).collect();
    vec![
        ("CI_RUNNER_ID", runner.id.to_string()),
        ("CI_RUNNER_DESCRIPTION", runner.description.clone()),
        ("CI_RUNNER_TAGS", format!("[{}]", tags.join(", "))),
    ]
}
