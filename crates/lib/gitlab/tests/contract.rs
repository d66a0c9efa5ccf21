//! One suite for each of GitLab's ports: the stand-in in memory and the client against a simulator answer alike.

#![allow(clippy::unwrap_used, reason = "a test fails where something is not as it should be")]

mod suite;

use std::collections::BTreeSet;

use reqwest::Method;
use runnerless_core::id::JobKey;
use runnerless_core::lane::TagSet;
use runnerless_core::project::{Alert, Hook};
use runnerless_core::status::JobStatus;
use runnerless_core::time::{Millis, Timestamp};
use runnerless_gitlab::protocol::fake::FakeRunners;
use runnerless_gitlab::protocol::{Made, NewRunner, RunnerScope, Secret};
use runnerless_gitlab::rest::fake::FakeJobs;
use runnerless_gitlab::rest::{ApiJob, JobsApi as _, RestClient};
use serde_json::{Value, json};
use suite::runners::{Ground, Owner};
use suite::simulator::{GitLab, Runner, SYSTEM_ID};

const FILE: &str = r#"
stages: [build, test]
build: {stage: build, tags: [docker, arm64], script: ["true"]}
plain: {stage: build, script: ["true"]}
gone: {stage: build, script: ["true"]}
unit: {stage: test, script: ["true"]}
"#;

/// A pipeline with a job that runs, one that waits, one that was cancelled and one whose turn has not come.
async fn pipeline(gitlab: &GitLab) -> Vec<ApiJob> {
    let project = gitlab.project("acme/widgets", FILE).await;
    let jobs = gitlab.pipeline(project).await;
    let id = |name: &str| jobs.iter().find(|(job, _)| job == name).unwrap().1;
    let runner = gitlab.runner(&["docker", "arm64"]).await;
    assert_eq!(gitlab.takes(&runner).await.id, id("build"));
    gitlab.cancel(id("gone")).await;
    let mut known = Vec::new();
    for (name, stage, status) in [
        ("plain", "build", JobStatus::Pending),
        ("build", "build", JobStatus::Running),
        ("gone", "build", JobStatus::Ended("canceled")),
        ("unit", "test", JobStatus::parse("created")),
    ] {
        let ours = name == "build";
        let key = JobKey { project, job: id(name) };
        let created = gitlab.job(project, key.job).await["created_at"].as_str().unwrap().parse::<jiff::Timestamp>();
        known.push(ApiJob {
            key,
            status,
            tags: Some(if ours { TagSet::new(["docker", "arm64"]).unwrap() } else { TagSet::default() }),
            runner: ours.then_some(runner.id),
            system_id: ours.then(|| SYSTEM_ID.to_owned()),
            name: name.to_owned(),
            stage: stage.to_owned(),
            git_ref: "main".to_owned(),
            created_at: Some(Timestamp(created.unwrap().as_millisecond())),
        });
    }
    known
}

#[tokio::test]
async fn the_jobs_api() {
    let gitlab = GitLab::start().await;
    let known = pipeline(&gitlab).await;
    let client = RestClient::new(gitlab.client(), &Secret::new(gitlab.admin.as_str())).unwrap();
    suite::jobs::jobs(&client, &known).await;
    let answers = async |status| gitlab.answers("projects/*/jobs/*", status).await;
    suite::jobs::refusals(&client, &known[0], answers).await;
    let stranger = RestClient::new(gitlab.client(), &Secret::new("glpat-of-nobody")).unwrap();
    assert_eq!(stranger.job(known[0].key).await.unwrap_err().name(), "GitLab.TokenRefused");

    let fake = FakeJobs::default();
    known.iter().cloned().for_each(|job| fake.put(job));
    suite::jobs::jobs(&fake, &known).await;
    suite::jobs::refusals(&fake, &known[0], async |status| fake.fail(status)).await;
}

const MANY: &str = r#"unit: {parallel: 150, script: ["true"]}"#;

#[tokio::test]
async fn a_projects_lists() {
    let gitlab = GitLab::start().await;
    let project = gitlab.project("acme/many", MANY).await;
    let without = gitlab.project("acme/widgets", FILE).await;
    let wanted: BTreeSet<u64> = gitlab.pipeline(project).await.into_iter().map(|(_, id)| id).collect();
    let hook = |url: &str, job_events| Hook {
        url: url.to_owned(),
        job_events,
        alert: Alert::Executable,
        disabled_until: None,
    };
    let hooks = [hook("http://127.0.0.1:1/webhook", true), hook("http://127.0.0.1:1/other", false)];
    for hook in &hooks {
        let body = json!({"url": hook.url, "job_events": hook.job_events, "token": "sesame"});
        gitlab.call(Method::POST, &format!("api/v4/projects/{project}/hooks"), body).await;
    }
    let client = RestClient::new(gitlab.client(), &Secret::new(gitlab.admin.as_str())).unwrap();
    let mut known = Vec::new();
    for id in &wanted {
        known.push(client.job(JobKey { project, job: *id }).await.unwrap().unwrap());
    }
    suite::projects::hooks(&client, project, &hooks, without).await;
    suite::projects::project(&client, project, "acme/many").await;
    suite::projects::refusals(&client, project, async |status| gitlab.answers("projects/**", status).await).await;
    suite::projects::pending(&client, project, "acme/many", &wanted, async |key| gitlab.cancel(key.job).await).await;

    let fake = FakeJobs::default();
    fake.put_path(project, "acme/many");
    fake.put_path(without, "acme/widgets");
    fake.put_hooks(project, hooks.to_vec());
    for job in &known {
        fake.put_waited(job.key, Millis::secs(1));
        fake.put(job.clone());
    }
    suite::projects::hooks(&fake, project, &hooks, without).await;
    suite::projects::project(&fake, project, "acme/many").await;
    suite::projects::refusals(&fake, project, async |status| fake.fail(status)).await;
    suite::projects::pending(&fake, project, "acme/many", &wanted, async |key| {
        let job = known.iter().find(|job| job.key == key).unwrap();
        fake.put(ApiJob { status: JobStatus::Ended("canceled"), ..job.clone() });
    })
    .await;
}

/// A GitLab with one runner.
struct Simulated {
    gitlab: GitLab,
    runner: Runner,
}

impl Ground for Simulated {
    async fn managers(&self) -> Vec<String> {
        let path = format!("api/v4/runners/{}/managers", self.runner.id);
        let shown = self.gitlab.shown(&path).await.unwrap_or_default();
        let ids =
            shown.as_array().into_iter().flatten().map(|manager| manager["system_id"].as_str().unwrap().to_owned());
        BTreeSet::from_iter(ids).into_iter().collect()
    }

    async fn fails(&self, failing: bool) {
        self.gitlab.answers("runners/*", failing.then_some(503)).await;
    }

    async fn deleted(&self) {
        self.gitlab.call(Method::DELETE, &format!("api/v4/runners/{}", self.runner.id), Value::Null).await;
    }
}

/// The fake with its one runner.
struct InMemory(FakeRunners);

impl Ground for InMemory {
    async fn managers(&self) -> Vec<String> {
        self.0.managers().into_iter().map(|(_, system_id)| system_id).collect()
    }

    async fn fails(&self, failing: bool) {
        self.0.fail(failing);
    }

    async fn deleted(&self) {
        self.0.delete("glrt-of-one");
    }
}

#[tokio::test]
async fn runners() {
    let gitlab = GitLab::start().await;
    let runner = gitlab.runner(&[]).await;
    let ground = Simulated { gitlab, runner };
    suite::runners::all(&ground.gitlab.client(), ground.runner.id, &ground.runner.token, &ground).await;

    let fake = InMemory(FakeRunners::default());
    fake.0.put("glrt-of-one", 7);
    suite::runners::all(&fake.0, 7, &Secret::new("glrt-of-one"), &fake).await;
}

/// A GitLab at a path, whose owner has three tokens.
struct OwnedGitLab {
    gitlab: GitLab,
    tokens: [Secret; 3],
}

impl Owner for OwnedGitLab {
    fn tokens(&self) -> [Secret; 3] {
        self.tokens.clone()
    }

    async fn shown(&self, id: u64) -> Option<String> {
        let shown = self.gitlab.shown(&format!("api/v4/runners/{id}")).await?;
        assert_eq!((&shown["tag_list"], &shown["run_untagged"]), (&json!(["docker", "large"]), &json!(false)));
        assert_eq!(shown["maximum_timeout"], 900);
        shown["description"].as_str().map(str::to_owned)
    }

    async fn fails(&self, failing: bool) {
        self.gitlab.answers("**", failing.then_some(503)).await;
    }
}

impl Owner for InMemory {
    fn tokens(&self) -> [Secret; 3] {
        ["glpat-api", "glpat-narrow", "GR1348941380"].map(Secret::new)
    }

    async fn shown(&self, id: u64) -> Option<String> {
        self.0.made().into_iter().find(|(made, _)| *made == id).map(|(_, name)| name)
    }

    async fn fails(&self, failing: bool) {
        self.0.fail(failing);
    }
}

#[tokio::test]
async fn runners_that_are_made() {
    let gitlab = GitLab::start_at("/gitlab").await;
    gitlab.call(Method::POST, "_sim/v1/settings", json!({"registration_tokens": true})).await;
    let project = gitlab.project("acme/widgets", FILE).await;
    let token = async |scope: &str| {
        let made = gitlab.call(Method::POST, "_sim/v1/tokens", json!({"scopes": [scope]})).await;
        Secret::new(made["token"].as_str().unwrap())
    };
    let (api, narrow) = (token("create_runner").await, token("read_api").await);
    let tokens = [api, narrow, Secret::new(format!("GR1348941{project}"))];
    let owner = OwnedGitLab { gitlab, tokens };
    suite::runners::making(&owner.gitlab.client(), &owner).await;

    let fake = InMemory(FakeRunners::default());
    fake.0.allow_api("glpat-api");
    fake.0.allow_registration("GR1348941380");
    suite::runners::making(&fake.0, &fake).await;
}

/// A GitLab whose answer is lost, or that answers 201 with something else, may have made a runner all the same.
#[tokio::test]
async fn an_answer_that_tells_nothing_is_no_refusal() {
    let gitlab = GitLab::start_at("/gitlab").await;
    let (client, admin) = (gitlab.client(), Secret::new(gitlab.admin.as_str()));
    let tags = TagSet::default();
    let new = NewRunner { description: "x", note: "", tags: &tags, run_untagged: true, longest_s: None };
    for (deed, unknown) in [
        ("lose_answer", true),
        ("done_status:502", true),
        ("status:408", true),
        ("status:201", true),
        ("status:429", false),
        ("status:404", false),
        ("status:302", false),
    ] {
        gitlab.call(Method::POST, "_sim/v1/faults", json!({"match": {"path": "user/runners"}, "do": deed})).await;
        let made = client.create_runner(&admin, RunnerScope::Instance, &new).await;
        match (deed, made) {
            (_, Made::Unknown(_)) if unknown => {}
            ("status:429", Made::Later(_)) => {}
            (_, Made::Refused(_)) if !unknown => {}
            (deed, made) => panic!("{deed}: {made:?}"),
        }
    }
}
