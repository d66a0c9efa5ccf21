//! A local stack as its user sees it: started, deployed, used, and ended with the value.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use runnerless_local::stack::{Options, Stack};
//! let stack = Stack::start(&Options::for_tests("ledger")?).await?;
//! let endpoint = stack.endpoint(); // for an SDK client, with runnerless_local::aws's account, secret and region
//! # let _ = endpoint;
//! # Ok(()) }
//! ```

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use hyper::Method;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::aws::Aws;
use crate::http::{Http, HttpError};
use crate::layout::{Layout, LayoutError};
use crate::processes::Process;
use crate::supervise::{Endpoints, GitLab, KEEP, Record};
use crate::venv::{self, VenvError};

/// Longer than a supervisor needs to end in the worst case.
const PATIENCE: Duration = Duration::from_secs(40);

/// A control call of the witness; it answers at once.
const CONTROL: Duration = Duration::from_secs(10);

/// The stack cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum StackError {
    /// The folders.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The Python environment.
    #[error(transparent)]
    Venv(#[from] VenvError),
    /// This crate's command is not where it is expected.
    #[error("the command {0} is not there; run `cargo build --release -p runnerless-local`")]
    NoProgram(PathBuf),
    /// The supervisor.
    #[error("the supervisor cannot be started")]
    Spawn(#[source] std::io::Error),
    /// It left before it was ready.
    #[error("the stack did not start:\n{0}")]
    NotReady(String),
    /// One runs already.
    #[error("a stack runs in {0} already; end it with `make stack-down` (or give another STATE)")]
    Running(PathBuf),
}

/// How a stack is started.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where everything is.
    pub layout: Layout,
    /// The `runnerless-local` command.
    pub program: PathBuf,
    /// Whether a GitLab is wanted too.
    pub simulator: bool,
    /// The path that this GitLab is at, as in `/gitlab`; empty for the root of its address.
    pub gitlab_root: String,
    /// Whether the state folder goes with the stack.
    pub ephemeral: bool,
}

impl Options {
    /// For the tests of any crate of this workspace: an emulator without a GitLab, with a state folder of its own below
    /// the checkout's `.local/tests`. The command is looked for beside the test's own program.
    ///
    /// # Errors
    /// When the test does not run from a checkout's `target` folder, or the command was not built.
    pub fn for_tests(name: &str) -> Result<Self, StackError> {
        let own = std::env::current_exe().map_err(StackError::Spawn)?;
        let folder = own.ancestors().find(|folder| folder.join("runnerless-local").is_file());
        let program = folder
            .map(|folder| folder.join("runnerless-local"))
            .ok_or_else(|| StackError::NoProgram(own.with_file_name("runnerless-local")))?;
        let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
        let state = PathBuf::from(format!(".local/tests/{name}-{}", std::process::id()));
        let layout = Layout::new(&checkout, &state)?;
        Ok(Self { layout, program, simulator: false, gitlab_root: String::new(), ephemeral: true })
    }
}

/// A running stack. Ends when it is dropped, unless it was found running or is kept.
#[derive(Debug)]
pub struct Stack {
    layout: Layout,
    endpoints: Endpoints,
    /// `None` when it was found running.
    supervisor: Option<Supervisor>,
    ephemeral: bool,
}

impl Stack {
    /// Makes what is needed and starts a stack.
    ///
    /// # Errors
    /// When it does not start, or one runs in this folder already.
    pub async fn start(options: &Options) -> Result<Self, StackError> {
        venv::ensure(&options.layout).await?;
        if !options.program.is_file() {
            return Err(StackError::NoProgram(options.program.clone()));
        }
        let layout = options.layout.clone();
        if Record::read(&layout.record()).is_some_and(|record| record.is_alive()) {
            return Err(StackError::Running(layout.state().to_owned()));
        }
        let log = layout.supervisor_log();
        let errors = std::fs::File::create(&log).map_err(StackError::Spawn)?;
        let mut command = std::process::Command::new(&options.program);
        command.arg("supervise").arg("--root").arg(layout.root()).arg("--state").arg(layout.state());
        if options.simulator {
            command.arg("--simulator");
        }
        if !options.gitlab_root.is_empty() {
            command.args(["--gitlab-root", &options.gitlab_root]);
        }
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(errors).spawn();
        let mut supervisor = Supervisor { child: child.map_err(StackError::Spawn)? };
        match supervisor.endpoints().await {
            Some(endpoints) => {
                Ok(Self { layout, endpoints, supervisor: Some(supervisor), ephemeral: options.ephemeral })
            }
            None => {
                drop(supervisor);
                Err(StackError::NotReady(std::fs::read_to_string(&log).unwrap_or_default().trim().to_owned()))
            }
        }
    }

    /// The stack that runs in this folder, if one does. It stays when this value goes.
    #[must_use]
    pub fn running(layout: &Layout) -> Option<Self> {
        let record = Record::read(&layout.record()).filter(Record::is_alive)?;
        Some(Self { layout: layout.clone(), endpoints: record.endpoints, supervisor: None, ephemeral: false })
    }

    /// Where it listens.
    #[must_use]
    pub fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// Where AWS calls go: the witness in front of the emulator.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoints.proxy
    }

    /// The emulator itself, whose calls nobody records: for webhooks, and for the driver's own calls.
    #[must_use]
    pub fn emulator(&self) -> &str {
        &self.endpoints.emulator
    }

    /// The simulator, if it was wanted.
    #[must_use]
    pub fn gitlab(&self) -> Option<&GitLab> {
        self.endpoints.gitlab.as_ref()
    }

    /// A client for the driver's own calls.
    #[must_use]
    pub fn aws(&self) -> Aws {
        Aws::new(&self.endpoints.emulator)
    }

    /// Puts a fault on calls that pass the witness; see `proxy::faults`.
    ///
    /// # Errors
    /// The fault cannot be used, or the witness does not answer.
    pub async fn set_fault(&self, fault: &Value) -> Result<(), HttpError> {
        self.faults(Method::POST, fault).await
    }

    /// Lifts all faults.
    ///
    /// # Errors
    /// The witness does not answer.
    pub async fn clear_faults(&self) -> Result<(), HttpError> {
        self.faults(Method::DELETE, &Value::Null).await
    }

    async fn faults(&self, method: Method, body: &Value) -> Result<(), HttpError> {
        let url = format!("{}/_proxy/faults", self.endpoint());
        Http::default().json(method, &url, &[], body, CONTROL).await.map(drop)
    }

    /// Where everything is.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Whether this value started it, and so ends it.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        self.supervisor.is_some()
    }

    /// Leaves it running.
    pub fn keep(mut self) {
        if let Some(supervisor) = self.supervisor.take() {
            supervisor.keep();
        }
    }

    /// Ends it, if this value started it, and waits until it is gone.
    pub async fn stop(mut self) {
        if let Some(mut supervisor) = self.supervisor.take() {
            supervisor.let_go();
            if let Some(process) = supervisor.process() {
                process.ended_within(PATIENCE).await;
            }
        }
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        drop(self.supervisor.take());
        if self.ephemeral {
            // What cannot be removed is below the checkout's .local and harms nobody.
            let _ = std::fs::remove_dir_all(self.layout.state());
        }
    }
}

/// The supervisor's process, which ends when the pipe to its standard input closes.
#[derive(Debug)]
struct Supervisor {
    child: Child,
}

impl Supervisor {
    /// Its first line, once everything is up.
    async fn endpoints(&mut self) -> Option<Endpoints> {
        let output = tokio::process::ChildStdout::from_std(self.child.stdout.take()?).ok()?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line).await.ok()?;
        serde_json::from_str(&line).ok()
    }

    fn process(&self) -> Option<Process> {
        i32::try_from(self.child.id()).ok().and_then(Process::of)
    }

    fn let_go(&mut self) {
        drop(self.child.stdin.take());
    }

    fn keep(mut self) {
        if let Some(mut input) = self.child.stdin.take() {
            // An error means that it is gone, which its user will see.
            let _ = input.write_all(&[KEEP]);
        }
        std::mem::forget(self);
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.let_go();
        // It ends everything below it first; whoever drops a stack wants it gone when the drop is over.
        let _ = self.child.wait();
    }
}
