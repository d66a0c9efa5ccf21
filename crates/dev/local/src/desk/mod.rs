//! A real executor between a real ledger and a strict GitLab: the emulator's tables and parameters, the simulator, and the
//! function's process, in a cage or where nothing is but what Lambda has, behind a Runtime API of its own.
//!
//! Ingest and the router are not there. What they write before an executor starts is written here, by the same moves; the
//! executor begins, binds, renews and concludes in the emulator's table.

mod function;
mod ledger;

use std::path::{Path, PathBuf};
use std::time::Duration;

use runnerless_aws::AwsError;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::conformance::control::Control;
use crate::gitlab::{NewRunner, Simulator};
use crate::http::HttpError;
use crate::layout::Layout;
use crate::processes::Process;
use crate::runtime_api::{Outcome, RuntimeApiError};
use crate::stack::{Options, Stack, StackError};
pub(crate) use function::CANARY;
use function::Executor;
pub use function::{Around, Fate, Sandbox, Vitals};
use ledger::Ledger;

/// The longest job that the runner takes, in seconds: GitLab's least.
const MAXIMUM_TIMEOUT_S: u64 = 600;

/// The desk cannot be set up or used.
#[derive(Debug, thiserror::Error)]
pub enum DeskError {
    /// The emulator and the simulator.
    #[error(transparent)]
    Stack(#[from] StackError),
    /// A call to one of them.
    #[error(transparent)]
    Call(#[from] HttpError),
    /// A move on the ledger.
    #[error(transparent)]
    Ledger(#[from] AwsError),
    /// A move that the rules refuse.
    #[error("the job cannot be charged: {0}")]
    Charge(String),
    /// The function.
    #[error(transparent)]
    Function(#[from] RuntimeApiError),
    /// A file or folder.
    #[error("{path} cannot be used")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The simulator is missing in the stack.
    #[error("this stack has no GitLab")]
    NoGitLab,
}

/// One job, from its offer to what came of it.
#[derive(Clone, Debug)]
pub struct Run {
    /// GitLab's id.
    pub job: u64,
    /// The launch that served it.
    pub launch: String,
    /// What the executor's process made of the invocation.
    pub fate: Fate,
    /// The job as GitLab sees it.
    pub seen: Value,
    /// Its log.
    pub log: Vec<u8>,
    /// What the runner did that GitLab would not forgive.
    pub violations: Vec<String>,
    /// The launch row's state and the job that it has.
    pub row: Value,
    /// From the invocation to its answer or the process's end.
    pub took: Duration,
}

/// See the module.
#[derive(Debug)]
pub struct Desk {
    stack: Stack,
    control: Control,
    ledger: Ledger,
    executor: Executor,
}

impl Desk {
    /// Starts everything but the executor, which starts with the first job. Words of the programs are below the state.
    ///
    /// # Errors
    /// When something does not start.
    pub async fn start(
        layout: Layout,
        programs: &Path,
        around: impl Into<Around>,
        sandbox: Sandbox,
    ) -> Result<Self, DeskError> {
        let program = programs.join("runnerless-local");
        let options = Options { layout, program, simulator: true, gitlab_root: String::new(), ephemeral: false };
        let stack = Stack::start(&options).await?;
        let gitlab = stack.gitlab().ok_or(DeskError::NoGitLab)?.clone();
        let runner = NewRunner {
            description: "hostile jobs",
            tags: Vec::new(),
            run_untagged: true,
            maximum_timeout: MAXIMUM_TIMEOUT_S,
        };
        let token = Simulator::new(&gitlab).create_runner(&runner).await?;
        let ledger = Ledger::make(&stack, &token).await?;
        let executor =
            Executor::new(programs.join("executor"), around.into(), sandbox, &stack, &gitlab.url, ledger.table());
        Ok(Self { control: Control::new(&gitlab), ledger, executor, stack })
    }

    /// GitLab's address.
    #[must_use]
    pub fn gitlab_url(&self) -> &str {
        self.executor.gitlab_url()
    }

    /// Another runner's token.
    ///
    /// # Errors
    /// GitLab refuses.
    pub async fn runner_token(&self) -> Result<String, DeskError> {
        Ok(self.control.create_runner("by hand").await?)
    }

    /// Starts the executor's process, so that it is there before the next job. Returns the address of its Runtime API.
    ///
    /// # Errors
    /// It does not start.
    pub async fn prepare(&mut self) -> Result<String, DeskError> {
        self.executor.prepare().await
    }

    /// The same executor in another sandbox, from the next job on.
    pub fn change_sandbox(&mut self, sandbox: Sandbox) {
        self.executor.change(sandbox);
    }

    /// Offers the job without a launch, for a runner by hand. Returns its id.
    ///
    /// # Errors
    /// GitLab refuses the description.
    pub async fn offer(&self, case: &Value) -> Result<u64, DeskError> {
        Ok(self.control.create_job(case).await?)
    }

    /// A job's log.
    ///
    /// # Errors
    /// GitLab does not answer.
    pub async fn log(&self, job: u64) -> Result<Vec<u8>, DeskError> {
        Ok(self.control.log(job).await?.to_vec())
    }

    /// Runs a job of this description: charged to a launch of its own, served by the executor's process.
    ///
    /// # Errors
    /// When it could not be run at all.
    pub async fn run(&mut self, case: &Value, limit: Duration) -> Result<Run, DeskError> {
        let job = self.control.create_job(case).await?;
        let launch = self.ledger.charge(job, self.executor.gitlab_url()).await?;
        let began = Instant::now();
        let fate = self.executor.invoke(&launch, limit).await?;
        let took = began.elapsed();
        let seen = self.control.job(job).await?;
        let log = self.control.log(job).await?.to_vec();
        // Else the next launch would get this job.
        self.control.drop_job(job).await?;
        let violations = self.control.violations_of(job).await?;
        let row = self.ledger.launch(&launch.id).await?;
        Ok(Run { job, launch: launch.id, fate, seen, log, violations, row, took })
    }

    /// The executor's process: its number, memory and descriptors; none when none runs.
    #[must_use]
    pub fn vitals(&self) -> Option<Vitals> {
        self.executor.vitals()
    }

    /// Which process the executor is.
    #[must_use]
    pub fn process(&self) -> Option<Process> {
        self.executor.process()
    }

    /// Ends everything.
    pub async fn stop(mut self) {
        self.executor.stop().await;
        self.stack.stop().await;
    }
}

/// An error name of a failed invocation, or none.
fn error_type(outcome: &Outcome) -> Option<String> {
    let Outcome::Failure(failure) = outcome else { return None };
    let body: Value = serde_json::from_slice(&failure.body).unwrap_or(json!({}));
    Some(body["errorType"].as_str().unwrap_or("no name").to_owned())
}
