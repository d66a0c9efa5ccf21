//! One suite for each of GitLab's ports: the stand-in in memory and the client against a simulator answer alike.

#![allow(clippy::unwrap_used, reason = "a test fails where something is not as it should be")]

mod suite;

use runnerless_core::id::JobKey;
use runnerless_core::lane::TagSet;
use runnerless_core::status::JobStatus;
use runnerless_core::time::Timestamp;
use runnerless_gitlab::protocol::Secret;
use runnerless_gitlab::rest::fake::FakeJobs;
use runnerless_gitlab::rest::{ApiJob, JobsApi as _, RestClient};
use suite::simulator::{GitLab, SYSTEM_ID};

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
    assert_eq!(stranger.job(known[0].key).await.unwrap_err().name(), "GitLab.Refused");

    let fake = FakeJobs::default();
    known.iter().cloned().for_each(|job| fake.put(job));
    suite::jobs::jobs(&fake, &known).await;
    suite::jobs::refusals(&fake, &known[0], async |status| fake.fail(status)).await;
}
