//! Jobs that an official runner took, which tells nobody: the sweep learns from GitLab whose they are.

use crate::lost::Lost;
use crate::support::{T0, World, after, key, rules};
use runnerless_aws::book::Book;
use runnerless_aws::ports::Ledger as _;
use runnerless_core::change::RowKey;
use runnerless_core::id::LaunchId;
use runnerless_core::job::JobState;
use runnerless_core::launch::{LaunchRow, LaunchState};
use runnerless_core::limits;
use runnerless_core::status::JobStatus;
use runnerless_core::time::Timestamp;
use runnerless_gitlab::rest::ApiJob;
use runnerless_gitlab::rest::fake::FakeJobs;
use runnerless_reconciler::Report;
use runnerless_router::Rules;
use serde_json::json;

const RUNNER: u64 = 7;

/// Two jobs that wait, each with a launch whose official runner began.
struct Stack {
    world: World,
    rules: Rules,
    around: Lost,
    launches: [LaunchId; 2],
}

impl Stack {
    async fn new() -> Self {
        let (world, rules) = (World { api: Some(FakeJobs::default()), ..World::default() }, rules());
        let mut launches = Vec::new();
        for job in [1, 2] {
            world.hook(job, "unit", "pending", T0).await;
            Self::shown(&world, job, "pending", None);
            world.router(&rules).route(key(job), T0).await.unwrap();
            let row = world.launch(job).await;
            let mut item = world.ledger.items()[&row.launch.pk()].clone();
            item.insert("official".into(), json!("shell"));
            item.insert("system_id".into(), format!("r_of_{job}").into());
            world.ledger.put(item);
            Book(&world.ledger).begin(&row.launch, &row.nonce_sha256, "c", T0).await.unwrap();
            launches.push(row.launch);
        }
        let launches = launches.try_into().unwrap();
        Self { world, rules, around: Lost::default(), launches }
    }

    fn shown(world: &World, job: u64, status: &str, system_id: Option<&str>) {
        let job = ApiJob {
            key: key(job),
            status: JobStatus::parse(status),
            tags: None,
            runner: system_id.map(|_| RUNNER),
            system_id: system_id.map(str::to_owned),
            name: "unit".into(),
            stage: "test".into(),
            git_ref: "main".into(),
            created_at: Some(T0),
        };
        world.api.as_ref().unwrap().put(job);
    }

    async fn launch(&self, at: usize) -> LaunchRow {
        let id = &self.launches[at];
        self.world.ledger.load(&[RowKey::Launch(id.clone())]).await.unwrap().launch(id).unwrap().unwrap()
    }

    async fn sweep(&self, now: Timestamp) -> Report {
        self.around.sweep(&self.world, &self.rules, false, now).await.unwrap()
    }
}

#[tokio::test]
async fn a_job_is_bound_to_the_launch_whose_manager_gitlab_names_and_the_other_jobs_launch_is_exchanged() {
    let stack = Stack::new().await;
    // The first launch's runner got the second job.
    stack.world.taken(2, RUNNER, true).await;
    Stack::shown(&stack.world, 2, "running", Some("r_of_1"));
    let report = stack.sweep(after(10)).await;
    assert_eq!(report.counts["recognise.done"], 1, "{report:?}");
    let (first, job) = (stack.launch(0).await, stack.world.job(2).await);
    assert_eq!((first.state, first.bound_job), (LaunchState::Bound, Some(key(2))));
    assert_eq!((job.state, job.launch), (JobState::Bound, Some(first.launch)));
    assert_eq!(stack.world.job(1).await.charge, None, "its launch has another job, and it waits");
    assert_eq!(stack.launch(1).await.state, LaunchState::Polling);
}

#[tokio::test]
async fn an_official_runner_that_asks_is_given_to_nobody_and_not_stopped_while_it_lives() {
    let stack = Stack::new().await;
    stack.world.taken(1, RUNNER, true).await;
    stack.world.api.as_ref().unwrap().fail(Some(503));
    stack.world.hook(3, "unit", "pending", T0).await;
    for minute in 1..10 {
        let now = after(60 * minute);
        for launch in &stack.launches {
            Book(&stack.world.ledger).renew(launch, now).await.unwrap();
        }
        let report = stack.sweep(now).await;
        // The third job's own launch does not begin, and is stopped.
        let is_official = |row: &str| stack.launches.iter().any(|launch| launch.pk() == row);
        assert!(!report.items.iter().any(|item| item.action == "stop" && is_official(&item.row)), "{report:?}");
        assert!(!report.counts.keys().any(|name| name.starts_with("assign")), "{report:?}");
    }
    assert_eq!(stack.launch(0).await.state, LaunchState::Polling);
    stack.world.api.as_ref().unwrap().fail(None);
    Stack::shown(&stack.world, 1, "running", Some("r_of_1"));
    assert_eq!(stack.sweep(after(601)).await.counts["recognise.done"], 1, "a GitLab that was down says it later");
    assert_eq!(stack.launch(0).await.bound_job, Some(key(1)));
}

#[tokio::test]
async fn one_that_is_silent_is_stopped_and_what_gitlab_cannot_say_is_told() {
    let stack = Stack::new().await;
    stack.world.taken(1, RUNNER, true).await;
    Stack::shown(&stack.world, 1, "running", Some("r_of_nobody"));
    let report = stack.sweep(after(60)).await;
    assert_eq!(report.counts["recognise.done"], 1, "it is told as a job that nobody accounts for: {report:?}");
    assert_eq!(stack.world.job(1).await.state, JobState::Foreign);
    let report = stack.sweep(T0 + limits::POLL_LEASE).await;
    assert_eq!(report.counts["stop.done"], 2, "{report:?}");
}
