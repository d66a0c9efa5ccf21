//! The executor's process.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::timeout;

use super::ledger::Launch;
use super::{DeskError, error_type};
use crate::aws::{ACCOUNT, REGION, SECRET};
use crate::bare::{self, Bare};
use crate::cage::Cage;
use crate::processes::{Process, descendants, table};
use crate::runtime_api::{Function, Invocation, Program, RuntimeApiError};
use crate::stack::Stack;

/// How long the process may take to start.
const START: Duration = Duration::from_secs(30);
/// A job's own file systems in the cage, as on Lambda where `/tmp` is one.
const WORK_ROOT: &str = "/tmp/runnerless";
const SCRUB: &str = "/tmp:/var/tmp:/dev/shm:/proc/sysvipc";
/// Lambda's longest.
const INVOCATION: Duration = Duration::from_secs(900);

/// `RUNNERLESS_SANDBOX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sandbox {
    /// Each launch names itself as its tenant.
    Tenant,
    /// No tenant.
    Shared,
}

/// What came of an invocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The executor's answer.
    Answered(Value),
    /// The executor's error, by its name.
    Failed(String),
    /// The process ended, by itself or killed.
    Died(String),
    /// No answer came within the limit; the process was killed then.
    Silent,
}

impl Fate {
    /// Whether the process lives on.
    #[must_use]
    pub fn survived(&self) -> bool {
        matches!(self, Self::Answered(_) | Self::Failed(_))
    }
}

/// What the executor's process has around it.
#[derive(Clone, Debug)]
pub enum Around {
    /// This machine's files, and an unprivileged user.
    Cage(Cage),
    /// What Lambda has. The executor is the program of the function's folder.
    Bare(Box<Bare>),
}

impl Around {
    fn prefix(&self) -> Vec<OsString> {
        match self {
            Self::Cage(cage) => cage.prefix(),
            Self::Bare(bare) => bare.prefix(),
        }
    }

    /// The name of the executor's process: the file that it is started from in there.
    fn name(&self) -> &'static str {
        match self {
            Self::Cage(_) => "program\n",
            Self::Bare(_) => "bootstrap\n",
        }
    }
}

impl From<Cage> for Around {
    fn from(cage: Cage) -> Self {
        Self::Cage(cage)
    }
}

impl From<Bare> for Around {
    fn from(bare: Bare) -> Self {
        Self::Bare(Box::new(bare))
    }
}

/// How a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vitals {
    /// Its number.
    pub pid: i32,
    /// Its memory (KiB).
    pub rss_kib: u64,
    /// Its open descriptors; none where the kernel shows them to root only.
    pub descriptors: Option<usize>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Executor {
    program: PathBuf,
    around: Around,
    sandbox: Sandbox,
    endpoint: String,
    gitlab_url: String,
    table: String,
    words: PathBuf,
    function: Option<Function>,
    served: u32,
}

impl Executor {
    pub(super) fn new(
        program: PathBuf,
        around: Around,
        sandbox: Sandbox,
        stack: &Stack,
        gitlab_url: &str,
        table: &str,
    ) -> Self {
        Self {
            program,
            around,
            sandbox,
            endpoint: stack.endpoint().to_owned(),
            gitlab_url: gitlab_url.to_owned(),
            table: table.to_owned(),
            words: stack.layout().at("executor.log"),
            function: None,
            served: 0,
        }
    }

    pub(super) fn gitlab_url(&self) -> &str {
        &self.gitlab_url
    }

    pub(super) fn change(&mut self, sandbox: Sandbox) {
        self.function = None;
        self.sandbox = sandbox;
    }

    /// Starts the process if there is none.
    pub(super) async fn prepare(&mut self) -> Result<String, DeskError> {
        let function = match self.function.take() {
            Some(function) => function,
            None => self.start().await?,
        };
        Ok(self.function.insert(function).api().to_string())
    }

    /// Hands the launch to the process that there is, or to a new one.
    pub(super) async fn invoke(&mut self, launch: &Launch, limit: Duration) -> Result<Fate, DeskError> {
        let mut function = match self.function.take() {
            Some(function) => function,
            None => self.start().await?,
        };
        self.served += 1;
        let mut invocation = Invocation::new(format!("r-{}", self.served), &launch.event, INVOCATION);
        invocation.tenant = (self.sandbox == Sandbox::Tenant).then(|| launch.id.clone());
        let fate = match timeout(limit, function.invoke(&invocation)).await {
            Ok(Ok(answer)) => match error_type(&answer.outcome) {
                None => Fate::Answered(answer.json().unwrap_or_default()),
                Some(name) => Fate::Failed(name),
            },
            Ok(Err(RuntimeApiError::Ended(status))) => Fate::Died(status.to_string()),
            Ok(Err(other)) => return Err(other.into()),
            Err(_) => Fate::Silent,
        };
        if fate.survived() {
            self.function = Some(function);
        } else {
            // With its cage.
            let _ = function.kill().await;
        }
        Ok(fate)
    }

    async fn start(&self) -> Result<Function, DeskError> {
        let at = |source| DeskError::File { path: self.words.clone(), source };
        let words = fs::OpenOptions::new().create(true).append(true).open(&self.words).map_err(at)?;
        let sandbox = if self.sandbox == Sandbox::Tenant { "tenant" } else { "shared" };
        let program = match &self.around {
            Around::Cage(_) => self.program.as_path(),
            Around::Bare(_) => Path::new(bare::PROGRAM),
        };
        let program = Program::new(program)
            .prefix(self.around.prefix())
            .output(words)
            .env("AWS_REGION", REGION)
            .env("AWS_ENDPOINT_URL", &self.endpoint)
            .env("AWS_ACCESS_KEY_ID", ACCOUNT)
            .env("AWS_SECRET_ACCESS_KEY", SECRET)
            .env("RUNNERLESS_LEDGER_TABLE", &self.table)
            .env("RUNNERLESS_PARAMETER_PATH", super::ledger::PATH)
            .env("RUNNERLESS_GITLAB_URL", &self.gitlab_url)
            .env("RUNNERLESS_IMAGE_POLICY", "warn")
            .env("RUNNERLESS_WORK_ROOT", WORK_ROOT)
            .env("RUNNERLESS_SANDBOX", sandbox)
            .env("RUNNERLESS_SCRUB", SCRUB)
            .env("RUNNERLESS_CANARY", CANARY);
        let mut function = Function::start(&program, INVOCATION).await?;
        let late = RuntimeApiError::Late { what: "start", limit: START };
        timeout(START, function.ready()).await.unwrap_or(Err(late))?;
        Ok(function)
    }

    pub(super) fn process(&self) -> Option<Process> {
        let first = self.function.as_ref()?.process()?;
        // The script of what is around it starts it before it can start anything.
        let below = descendants(&table(), first.pid);
        let named =
            |pid: i32| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name == self.around.name());
        below.into_iter().map(|entry| entry.process).find(|process| named(process.pid))
    }

    pub(super) fn vitals(&self) -> Option<Vitals> {
        let pid = self.process()?.pid;
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let rss_kib = line.split_ascii_whitespace().next()?.parse().ok()?;
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).ok().map(Iterator::count);
        Some(Vitals { pid, rss_kib, descriptors })
    }

    pub(super) async fn stop(&mut self) {
        if let Some(mut function) = self.function.take() {
            let _ = function.kill().await;
        }
    }
}

/// A text in the executor's environment that must not get anywhere.
pub(crate) const CANARY: &str = "canary-4f1d8a-of-the-runner";

impl Vitals {
    /// For a JSON line.
    #[must_use]
    pub fn view(&self) -> Value {
        json!({"rss_kib": self.rss_kib, "descriptors": self.descriptors})
    }
}
