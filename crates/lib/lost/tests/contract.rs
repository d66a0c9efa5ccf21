//! One suite for every reporter: the stand-in in memory and the client against a simulator answer alike.

#![allow(clippy::unwrap_used, reason = "a test fails where something is not as it should be")]

#[path = "../../gitlab/tests/suite/simulator.rs"]
mod simulator;

use runnerless_gitlab::protocol::{Secret, Way};
use runnerless_lost::fake::FakeReporter;
use runnerless_lost::{Answer, OnDemand, Reporter};
use simulator::{GitLab, Runner};

const FILE: &str = r#"
one: {script: ["true"]}
two: {script: ["true"]}
three: {script: ["true"]}
"#;

/// Three jobs that run, with their tokens.
type Running = [(u64, String); 3];

/// A GitLab that can be told what happens to its jobs.
trait Ground {
    /// The job's user cancels it for good.
    async fn ended(&self, job: u64);
    /// From now on GitLab answers each report with this status; `None` ends that.
    async fn answers(&self, status: Option<u16>);
    /// Why the job failed, as its user sees it; `None` while it runs.
    async fn failure(&self, job: u64) -> Option<String>;
}

async fn suite(reporter: &impl Reporter, jobs: &Running, ground: &impl Ground) {
    let [(one, token), (two, token_of_two), (three, token_of_three)] = jobs;
    let failed = async |job: u64, token: &str| reporter.failed(job, &Secret::new(token)).await;
    let over = |answer: &Answer| matches!(answer, Answer::Over(_));

    for wrong in [token_of_two, "glcbt-of-nobody"] {
        assert!(over(&failed(*one, wrong).await), "another's token ends no job");
    }
    assert_eq!(ground.failure(*one).await, None);
    assert!(over(&failed(*one + 100_000, token).await), "nobody knows that job");

    for status in [408, 429, 500, 502, 503] {
        ground.answers(Some(status)).await;
        assert!(matches!(failed(*one, token).await, Answer::Later(_)), "{status}");
    }
    ground.answers(None).await;
    assert_eq!(ground.failure(*one).await, None);
    assert_eq!(failed(*one, token).await, Answer::Taken);
    assert_eq!(ground.failure(*one).await.as_deref(), Some("runner_system_failure"));
    assert!(over(&failed(*one, token).await), "it is over, and its token with it");

    ground.ended(*two).await;
    assert!(over(&failed(*two, token_of_two).await), "its user was faster");
    assert_eq!(failed(*three, token_of_three).await, Answer::Taken, "the others are not concerned");
}

/// The fake, and what it says of jobs.
struct InMemory(FakeReporter);

impl Ground for &InMemory {
    async fn ended(&self, job: u64) {
        self.0.ends(job);
    }

    async fn answers(&self, status: Option<u16>) {
        self.0.answer(status.map(|status| Answer::Later(status.to_string())));
    }

    async fn failure(&self, job: u64) -> Option<String> {
        (!self.0.is_running(job)).then(|| "runner_system_failure".to_owned())
    }
}

struct Simulated {
    gitlab: GitLab,
    project: u64,
    runner: Runner,
}

impl Simulated {
    async fn start() -> Self {
        let gitlab = GitLab::start().await;
        let project = gitlab.project("acme/widgets", FILE).await;
        let runner = gitlab.runner(&[]).await;
        Self { gitlab, project, runner }
    }

    async fn running(&self) -> Running {
        self.gitlab.pipeline(self.project).await;
        let take = async || {
            let job = self.gitlab.takes(&self.runner).await;
            (job.id, job.token.expose().to_owned())
        };
        [take().await, take().await, take().await]
    }
}

impl Ground for Simulated {
    /// Cancelling asks the runner, which stops the job; forcing does not wait for it.
    async fn ended(&self, job: u64) {
        self.gitlab.cancel(job).await;
        self.gitlab.force_cancel(job).await;
    }

    async fn answers(&self, status: Option<u16>) {
        self.gitlab.answers("jobs/*", status).await;
    }

    async fn failure(&self, job: u64) -> Option<String> {
        let shown = self.gitlab.job(self.project, job).await;
        (shown["status"] != "running").then(|| shown["failure_reason"].as_str().unwrap_or_default().to_owned())
    }
}

#[tokio::test]
async fn in_memory() {
    let fake = InMemory(FakeReporter::default());
    let jobs = [1, 2, 3].map(|job| (job, format!("glcbt-{job}")));
    jobs.iter().for_each(|(job, token)| fake.0.runs(*job, token));
    suite(&fake.0, &jobs, &&fake).await;
    let told: Vec<u64> = fake.0.told().into_iter().map(|(job, _)| job).collect();
    assert_eq!(told.len(), 12, "in vain or not: {told:?}");
}

#[tokio::test]
async fn over_http() {
    let gitlab = Simulated::start().await;
    suite(&gitlab.gitlab.client(), &gitlab.running().await, &gitlab).await;
    suite(&OnDemand::new(gitlab.gitlab.url.as_str(), Way::default()), &gitlab.running().await, &gitlab).await;
}

#[tokio::test]
async fn a_gitlab_that_cannot_be_reached_is_told_later() {
    for url in ["http://127.0.0.1:1", "no url"] {
        let answer = OnDemand::new(url, Way::default()).failed(1, &Secret::new("glcbt-1")).await;
        assert!(matches!(&answer, Answer::Later(_)), "{url}: {answer:?}");
    }
}
