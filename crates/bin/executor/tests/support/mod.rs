//! A GitLab of a few lines on 127.0.0.1 (the runner command's), a ledger in memory, and launches in it.

#![allow(dead_code, reason = "each test file uses its own part of this")]
#![allow(unreachable_pub, reason = "a test's support module has no outside")]

#[path = "../../../runner/tests/support/coordinator.rs"]
pub mod coordinator;
#[path = "../../../runner/tests/support/git.rs"]
pub mod git;

use std::future::pending;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use coordinator::Coordinator;
use runnerless_aws::book::Book;
use runnerless_aws::fake::{FakeLedger, FakeParameters};
use runnerless_aws::ports::Ledger as _;
use runnerless_core::change::RowKey;
use runnerless_core::event::{LaunchEvent, nonce_sha256};
use runnerless_core::id::{JobKey, LaunchId};
use runnerless_core::job::{JobEvent, JobFacts, JobRow};
use runnerless_core::lane::{Engine, Lane, TagSet};
use runnerless_core::launch::LaunchRow;
use runnerless_core::moves::{Introduction, Start, charge, record, sentinel};
use runnerless_core::status::JobStatus;
use runnerless_core::time::{Millis, Timestamp};
use runnerless_engine::{Environment, ImagePolicy};
use runnerless_executor::{Error, Mode, Outcome, Ports, Sandbox, Scrub, Settings, handle};
use runnerless_gitlab::protocol::{Client, ClientConfig, Info, Way};
use runnerless_lambda_kit::{Call, now};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::oneshot;

pub const JOB_TOKEN: &str = "glcbt-66_jobtokenjobtoken";
pub const RUNNER_TOKEN: &str = "glrt-t3_testtesttest0123";
pub const NONCE: &str = "test-nonce-that-nobody-guesses";
pub const PROJECT: u64 = 380;

/// A run ends every process that is below this one, so that one test at a time may run a job.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// A job of these script lines without sources.
pub fn job(id: u64, script: &[&str]) -> Value {
    json!({
        "id": id,
        "token": JOB_TOKEN,
        "allow_git_fetch": true,
        "job_info": {"id": id, "name": "unit", "stage": "test", "project_id": PROJECT, "project_name": "widget"},
        "git_info": {"repo_url": format!("http://gitlab-ci-token:{JOB_TOKEN}@127.0.0.1:9/acme/widget.git"), "ref": "main",
            "sha": "0123456789012345678901234567890123456789", "ref_type": "branch", "refspecs": [], "depth": 20},
        "runner_info": {"timeout": 600},
        "variables": [
            {"key": "CI_JOB_ID", "value": id.to_string(), "public": true, "masked": false},
            {"key": "GIT_STRATEGY", "value": "none", "public": true, "masked": false},
        ],
        "steps": [{"name": "script", "script": script, "timeout": 600, "when": "on_success", "allow_failure": false}],
        "features": {"trace_sections": true, "token_mask_prefixes": ["glpat-"],
            "failure_reasons": ["unknown_failure", "runner_system_failure", "job_execution_timeout"]},
    })
}

pub fn key(job: u64) -> JobKey {
    JobKey { project: PROJECT, job }
}

/// A ledger, a GitLab and one executor between them.
pub struct World {
    pub ledger: FakeLedger,
    pub parameters: FakeParameters,
    pub coordinator: Coordinator,
    pub work: TempDir,
    pub settings: Settings,
    pub time_left: Millis,
    pub clock: fn() -> Timestamp,
    pub tenant: Option<String>,
    _alone: MutexGuard<'static, ()>,
}

impl World {
    /// GitLab has this job, and the lane has a token.
    pub fn new(job: Option<Value>) -> Self {
        let alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let coordinator = Coordinator::start(job);
        let work = tempfile::tempdir().unwrap();
        let settings = Settings {
            parameter_path: "/runnerless".to_owned(),
            gitlab_url: coordinator.url.clone(),
            work_root: work.path().join("work"),
            images: ImagePolicy::Fail,
            runner_name: "runnerless-executor".to_owned(),
            environment: Environment {
                path: "/opt/bin:/usr/local/bin:/usr/bin:/bin".to_owned(),
                lang: "C.UTF-8".to_owned(),
                user: "tester".to_owned(),
                cure: "Install it.".to_owned(),
            },
            beat: Duration::from_millis(60),
            way: Way::default(),
            caches: None,
            sandbox: Sandbox::new(Mode::Shared, Scrub::default()).unwrap(),
        };
        let parameters = FakeParameters::default();
        parameters.put(&token_parameter(), RUNNER_TOKEN);
        // The lane has asked before: GitLab told as which runner.
        let ledger = FakeLedger::default();
        let said = Introduction { lane: &lane().id(), engine: Engine::Lambda, token: RUNNER_TOKEN, runner_id: Some(7) };
        block(Book(&ledger).introduce(said, now())).unwrap();
        Self {
            ledger,
            parameters,
            coordinator,
            work,
            settings,
            time_left: Millis::secs(900),
            clock: now,
            tenant: None,
            _alone: alone,
        }
    }

    /// A hook of a job.
    pub fn hook(&self, job: u64, status: &str) {
        let event = JobEvent {
            key: key(job),
            status: JobStatus::parse(status),
            facts: JobFacts::default(),
            created_at: Some(now()),
            runner: None,
        };
        let row = self.job_row(job);
        block(self.ledger.apply(&record(row.as_ref(), &event, now()).plan)).unwrap();
    }

    /// A pending job with a launch.
    pub fn charged(&self, job: u64, launch: &str) {
        self.hook(job, "pending");
        let row = self.job_row(job).unwrap();
        block(self.ledger.apply(&charge(&row, &lane(), start_of(launch), "test", now()).unwrap())).unwrap();
    }

    /// A launch that is charged to no job.
    pub fn sentinel(&self, launch: &str) {
        let row = block(self.ledger.load(&[RowKey::Lane(lane().id())])).unwrap().lane(&lane().id()).unwrap().unwrap();
        block(self.ledger.apply(&sentinel(&row, &lane(), start_of(launch), Millis::minutes(10), now()))).unwrap();
    }

    pub fn job_row(&self, job: u64) -> Option<JobRow> {
        block(self.ledger.load(&[RowKey::Job(key(job))])).unwrap().job(key(job)).unwrap()
    }

    pub fn launch_row(&self, launch: &str) -> LaunchRow {
        let id = LaunchId::new(launch);
        block(self.ledger.load(&[RowKey::Launch(id.clone())])).unwrap().launch(&id).unwrap().unwrap()
    }

    /// The event that starts a launch, with a single ask.
    pub fn event(&self, launch: &str) -> Value {
        let mut event: Value =
            serde_json::from_str(include_str!("../../../../../events/executor/launch.json")).unwrap();
        event["launch"] = launch.into();
        event["nonce"] = NONCE.into();
        event["lane"] = lane().id().as_str().into();
        event["gitlab_url"] = self.settings.gitlab_url.clone().into();
        event["deadline_ms"] = (now() + Millis::secs(900)).0.into();
        event["wait_s"] = 0.into();
        LaunchEvent::read(&event).unwrap();
        event
    }

    fn call(&self, event: Value) -> Call<Value> {
        let ends_at = now() + self.time_left;
        Call { event, request_id: "r".to_owned(), ends_at, tenant: self.tenant.clone() }
    }

    /// One invocation to its end.
    pub fn invoke(&self, event: Value) -> Result<Outcome, Error> {
        block(self.serve(event, pending()))
    }

    pub async fn serve(&self, event: Value, told: impl Future<Output = ()> + Send) -> Result<Outcome, Error> {
        let info = Info::new("runnerless-executor", "0", "");
        let client = Client::new(ClientConfig::new(&self.coordinator.url, info)).unwrap();
        let ports =
            Ports { ledger: &self.ledger, parameters: &self.parameters, gitlab: Ok(&client), clock: self.clock };
        handle(&self.call(event), &ports, &self.settings, told).await
    }

    /// One invocation beside `meanwhile`, which may wait for what it does and can tell it to end.
    pub fn invoke_beside(&self, event: Value, meanwhile: impl FnOnce(oneshot::Sender<()>)) -> Result<Outcome, Error> {
        let (terminate, told) = oneshot::channel();
        thread::scope(|scope| {
            let served = scope.spawn(|| {
                block(self.serve(event, async {
                    if told.await.is_err() {
                        pending::<()>().await;
                    }
                }))
            });
            meanwhile(terminate);
            served.join().unwrap()
        })
    }

    /// Waits until the job's log holds the text.
    pub fn wait_for_log(&self, text: &str) {
        self.coordinator.wait_for(|_, log| String::from_utf8_lossy(log).contains(text));
    }

    pub fn log(&self) -> String {
        String::from_utf8(self.coordinator.log()).unwrap()
    }

    /// How often GitLab was asked for a job.
    pub fn asks(&self) -> usize {
        self.coordinator.requests().iter().filter(|request| request.path == "/api/v4/jobs/request").count()
    }

    /// A file that a job of the test can look at.
    pub fn signal_file(&self) -> PathBuf {
        self.work.path().join("go")
    }
}

fn start_of(launch: &str) -> Start {
    Start {
        launch: LaunchId::new(launch),
        nonce_sha256: nonce_sha256(NONCE),
        system_id: "r_lane00000000".to_owned(),
        request: "{}".to_owned(),
        isolated: false,
        by_default: false,
        longest: None,
    }
}

pub fn lane() -> Lane {
    Lane { tags: TagSet::default(), engine: Engine::Lambda, target: "arn:executor".into(), run_untagged: true }
}

pub fn token_parameter() -> String {
    format!("/runnerless/runner/LAMBDA/{}/RegistrationToken", lane().id())
}

pub fn block<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}
