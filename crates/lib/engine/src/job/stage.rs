//! One stage: a section of the log around a shell that may be stopped for five reasons.

use std::ffi::OsString;
use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::limits::{Limits, after_script_timeout, script_timeout};
use super::setup::Setup;
use crate::log::{Log, Stream};
use crate::process::{Ended, Family, Grace, Shell, ShellSpec, code_of};
use crate::script::Script;
use crate::stop::Stop;
use crate::verdict::Verdict;
use runnerless_core::chain::chain;

/// Between SIGTERM and SIGKILL. The official runner waits ten minutes; a function that is paid by the second does not.
const GRACE: Grace = Duration::from_secs(10);
/// The same when GitLab has ended the job, or this process must leave: nobody waits for what the job still says.
const SHORT_GRACE: Grace = Duration::from_secs(2);
/// How long a process that a script left behind may keep its output open before it is ended.
const HOLD: Duration = Duration::from_secs(60);

/// As much of what a shell prints is kept, in bytes; more is a list of files that nobody would upload.
const MOST_PRINTED: usize = 64 * 1024 * 1024;
/// The shell's exit code for a command that it does not find.
const NOT_FOUND: i32 = 127;

/// What GitLab wants of a running job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// Go on.
    Go,
    /// A user cancelled: stop the script, run `after_script`.
    Cancel,
    /// It is over on the server: stop everything.
    Over,
}

/// When a stage must end before the whole job does, and what that means.
#[derive(Clone, Debug, Default)]
pub(crate) struct StageLimit {
    earlier: Vec<(Instant, Verdict)>,
}

impl StageLimit {
    fn and(mut self, limit: Option<(Instant, Verdict)>) -> Self {
        self.earlier.extend(limit);
        self
    }
}

/// An open section; closing it writes the end marker.
#[derive(Debug)]
pub(crate) struct Section {
    log: Log,
    name: String,
}

impl Section {
    pub(crate) fn close(self) {
        self.log.close_section(&self.name);
    }
}

/// Runs the stages of one job.
#[derive(Debug)]
pub(crate) struct Stages {
    log: Log,
    limits: Limits,
    family: Family,
    environment: Vec<(&'static str, OsString)>,
    /// What can be done about a missing command.
    cure: String,
    signal: watch::Receiver<Signal>,
    stop: Stop,
    heeds_cancel: bool,
}

impl Stages {
    pub(crate) fn new(
        log: Log,
        limits: Limits,
        family: Family,
        cure: String,
        environment: Vec<(&'static str, OsString)>,
        signal: watch::Receiver<Signal>,
        stop: Stop,
    ) -> Self {
        Self { log, limits, family, environment, cure, signal, stop, heeds_cancel: true }
    }

    pub(crate) fn log(&self) -> &Log {
        &self.log
    }

    pub(crate) fn open(&self, name: &str, title: &str) -> Section {
        self.log.open_section(name, title);
        Section { log: self.log.clone(), name: name.to_owned() }
    }

    /// From now on a cancel changes nothing: `after_script` runs because of it, or the job was over before it came.
    pub(crate) fn heed_cancel_no_more(&mut self) {
        self.heeds_cancel = false;
    }

    /// The limit of what comes before the script.
    pub(crate) fn preparation_limit(&self) -> StageLimit {
        StageLimit::default().and(self.limits.before_after_script())
    }

    /// The limit that all steps share.
    pub(crate) fn script_limit(&self, setup: &Setup) -> StageLimit {
        let own = script_timeout(&setup.variables, &self.log)
            .map(|limit| (Instant::now() + limit, Verdict::ScriptTimeout(limit)));
        self.preparation_limit().and(own)
    }

    /// The limit of `after_script`.
    pub(crate) fn after_script_limit(&self, setup: &Setup) -> StageLimit {
        let limit = after_script_timeout(&setup.variables, &self.log);
        StageLimit::default().and(Some((Instant::now() + limit, Verdict::ScriptTimeout(limit))))
    }

    /// The limit of what follows the script: that of the whole job.
    pub(crate) fn upload_limit(&self) -> StageLimit {
        StageLimit::default()
    }

    /// Runs a step of the job's script: its first output makes the log worth sending at once.
    pub(crate) async fn script(&mut self, script: &Script, folder: &Path, limit: StageLimit) -> Result<(), Verdict> {
        let log = self.log.clone();
        let sink = |stream: Stream, bytes: &[u8]| {
            log.job(stream, bytes);
            log.script_speaks();
        };
        self.run(script, folder, limit, sink).await
    }

    /// Runs any other stage.
    pub(crate) async fn shell(&mut self, script: &Script, folder: &Path, limit: StageLimit) -> Result<(), Verdict> {
        let log = self.log.clone();
        self.run(script, folder, limit, |stream: Stream, bytes: &[u8]| log.job(stream, bytes)).await
    }

    /// Runs a shell for what it prints. What it complains about goes to the log.
    pub(crate) async fn capture(
        &mut self,
        script: &Script,
        folder: &Path,
        limit: StageLimit,
    ) -> Result<Vec<u8>, Verdict> {
        let log = self.log.clone();
        let mut printed = Vec::new();
        let sink = |stream: Stream, bytes: &[u8]| match stream {
            Stream::Out if printed.len() < MOST_PRINTED => printed.extend_from_slice(bytes),
            Stream::Out => {}
            _ => log.job(stream, bytes),
        };
        self.run(script, folder, limit, sink).await?;
        Ok(printed)
    }

    async fn run(
        &mut self,
        script: &Script,
        folder: &Path,
        limit: StageLimit,
        sink: impl FnMut(Stream, &[u8]),
    ) -> Result<(), Verdict> {
        let text = script.finish();
        let spec = ShellSpec { script: &text, folder, environment: &self.environment };
        let system = |error: &dyn std::error::Error| Verdict::System(chain(error));
        let shell = Shell::start(&spec).map_err(|error| system(&error))?;
        let interrupt =
            interrupt(self.signal.clone(), self.stop.clone(), self.heeds_cancel, self.limits.whole(), limit);
        let ended = shell.run(&self.family, sink, interrupt, HOLD).await.map_err(|error| system(&error))?;
        self.log.end_of_output();
        self.conclude(ended).await
    }

    async fn conclude(&self, ended: Ended<Verdict>) -> Result<(), Verdict> {
        if ended.held || ended.interrupted.is_some() {
            if ended.held && ended.interrupted.is_none() {
                self.log.warn(
                    "a process in the background kept the output open for 60 seconds after the script; it is ended",
                );
            }
            self.family.end().await.map_err(|error| Verdict::System(chain(&error)))?;
        }
        match (ended.interrupted, code_of(ended.status)) {
            (Some(verdict), _) => Err(verdict),
            (None, Ok(0)) => Ok(()),
            (None, Ok(code)) => Err(Verdict::Exit(code)),
            (None, Err(signal)) => Err(Verdict::Signal(signal)),
        }
    }

    /// A yellow line about a stage that was stopped.
    pub(crate) fn explain(&self, result: &Result<(), Verdict>, stage: &str) {
        match result {
            Err(Verdict::JobTimeout(_) | Verdict::ScriptTimeout(_) | Verdict::HostTimeout { .. }) => {
                self.log.warn(&format!(
                    "{stage} could not run to completion because the timeout was exceeded. For more control over job and \
                     script timeouts see: \
                     https://docs.gitlab.com/ci/runners/configure_runners/#set-script-and-after_script-timeouts"
                ));
            }
            Err(Verdict::Exit(NOT_FOUND)) => self.log.warn(&format!(
                "exit code {NOT_FOUND} is the shell's for a command that it does not find. {}",
                self.cure
            )),
            Err(Verdict::Canceled) => self.log.warn("script canceled externally (UI, API)"),
            _ => {}
        }
    }

    /// Waits between two attempts, unless the job must end.
    pub(crate) async fn pause(&self, pause: Duration) -> Result<(), Verdict> {
        self.within(self.preparation_limit(), tokio::time::sleep(pause)).await
    }

    /// Work of this process itself, broken off where the job must end.
    pub(crate) async fn within<T>(&self, limit: StageLimit, work: impl Future<Output = T>) -> Result<T, Verdict> {
        let interrupt =
            interrupt(self.signal.clone(), self.stop.clone(), self.heeds_cancel, self.limits.whole(), limit);
        tokio::select! {
            done = work => Ok(done),
            (verdict, _) = interrupt => Err(verdict),
        }
    }

    /// Work with files, on a thread of its own. Where the job must end it is told to give up, and waited for: nothing of
    /// it may go on while folders are removed.
    pub(crate) async fn on_thread<T: Send + 'static>(
        &self,
        limit: StageLimit,
        work: impl FnOnce(&AtomicBool) -> T + Send + 'static,
    ) -> Result<T, Verdict> {
        let given_up = Arc::new(AtomicBool::new(false));
        let heard = Arc::clone(&given_up);
        let mut working = tokio::task::spawn_blocking(move || work(&heard));
        match self.within(limit, &mut working).await {
            Ok(done) => done.map_err(|error| Verdict::System(chain(&error))),
            Err(verdict) => {
                given_up.store(true, Ordering::Relaxed);
                // A file system that does not answer is not waited for any longer.
                let _ = tokio::time::timeout(SHORT_GRACE, working).await;
                Err(verdict)
            }
        }
    }

    /// Ends what the stages so far left running.
    pub(crate) async fn end_leftovers(&self) -> Result<(), Verdict> {
        self.family.end().await.map_err(|error| Verdict::System(chain(&error)))
    }

    /// The same where the verdict is already known: what could not be ended is said in the log.
    pub(crate) async fn end_leftovers_quietly(&self) {
        if let Err(error) = self.family.end().await {
            self.log.warn(&chain(&error));
        }
    }
}

/// Waits for the first reason to stop a stage.
async fn interrupt(
    mut signal: watch::Receiver<Signal>,
    mut stop: Stop,
    heeds_cancel: bool,
    whole: (Instant, Verdict),
    limit: StageLimit,
) -> (Verdict, Grace) {
    let first = limit.earlier.into_iter().chain([whole]).min_by_key(|(at, _)| *at);
    let timeout = async {
        match first {
            Some((at, verdict)) => {
                sleep_until(at).await;
                verdict
            }
            None => std::future::pending().await,
        }
    };
    let wanted = async {
        let ends = |signal: &Signal| *signal == Signal::Over || (heeds_cancel && *signal == Signal::Cancel);
        match signal.wait_for(ends).await.map(|signal| *signal) {
            Ok(Signal::Over) => (Verdict::Over, SHORT_GRACE),
            Ok(_) => (Verdict::Canceled, GRACE),
            // Nobody listens to GitLab any more, which happens only when the job is being dropped.
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        verdict = timeout => (verdict, GRACE),
        reason = wanted => reason,
        () = stop.asked() => (Verdict::Stopped, SHORT_GRACE),
    }
}
