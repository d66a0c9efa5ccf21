//! A program under a guard of its own, as the supervisor sees it.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::Duration;

use rustix::process::Signal;

use super::{Plan, SuperviseError};
use crate::guard;
use crate::processes::Process;

/// Longer than a guard needs in the worst case: its grace and the kernel's.
const PATIENCE: Duration = Duration::from_secs(15);
/// How much of a log is shown.
const WORDS: usize = 2000;

/// The program; its guard ends it when this is dropped, because the pipe between them closes.
#[derive(Debug)]
pub(super) struct Guarded {
    name: &'static str,
    log: PathBuf,
    guard: Child,
}

impl Guarded {
    /// Starts it with exactly this environment.
    pub(super) fn start(
        name: &'static str,
        plan: &Plan,
        log: PathBuf,
        command: &[OsString],
        environment: &[(&str, String)],
    ) -> Result<Self, SuperviseError> {
        let output = File::create(&log).map_err(|source| SuperviseError::File { path: log.clone(), source })?;
        let errors = output.try_clone().map_err(|source| SuperviseError::File { path: log.clone(), source })?;
        let guard = guard::command(&plan.program, command)
            .env_clear()
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdout(output)
            .stderr(errors)
            .spawn()
            .map_err(|source| SuperviseError::File { path: plan.program.clone(), source })?;
        Ok(Self { name, log, guard })
    }

    /// What it is called.
    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    /// Whether it is over.
    pub(super) fn has_ended(&mut self) -> bool {
        !matches!(self.guard.try_wait(), Ok(None))
    }

    /// The guard.
    pub(super) fn process(&self) -> Option<Process> {
        i32::try_from(self.guard.id()).ok().and_then(Process::of)
    }

    /// Its log, and the end of that.
    pub(super) fn words(&self) -> (PathBuf, String) {
        (self.log.clone(), tail(&self.log))
    }

    /// An error with its last words.
    pub(super) fn not_ready(&self) -> SuperviseError {
        let (log, words) = self.words();
        SuperviseError::NotReady { program: self.name, log, words }
    }

    /// Ends it and waits until the guard has ended everything below.
    pub(super) async fn end(&mut self) {
        drop(self.guard.stdin.take());
        if let Some(process) = self.process()
            && !process.ended_within(PATIENCE).await
        {
            process.signal(Signal::KILL);
        }
        let _ = self.guard.try_wait();
    }
}

fn tail(log: &Path) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let from = text.len().saturating_sub(WORDS);
    String::from_utf8_lossy(&text[from..]).trim().to_owned()
}
