//! The guard: what makes sure that a program of the stack, and everything that it ever starts, ends with us.
//!
//! The emulator starts Lambda processes, and those start the jobs' processes, in groups and sessions of their own. A
//! guard is a small process between the supervisor and one such program:
//!
//! - it opens a session of its own, so that a signal to the group of `make` does not end it before it has cleaned up;
//! - it is a child subreaper: an orphan below it, however deep, becomes its child and stays within reach;
//! - it reads its standard input, whose other end only its parent holds: the end of file means that the parent is
//!   gone, for whatever reason, also by `kill -9`;
//! - then, or on a signal, or when the program ends, it ends everything below it and leaves, with the code of a program
//!   that ended by itself.
//!
//! Should the guard itself be killed, the program dies by its parent-death signal, which [`leash`] sets, and the
//! orphans become children of the supervisor, which is a subreaper too.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Signal, set_child_subreaper, set_parent_process_death_signal};
use tokio::io::AsyncReadExt as _;
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};

use crate::processes::{self, Left, own_pid};

/// How long the program and its children may take to leave after SIGTERM.
const GRACE: Duration = Duration::from_secs(2);
/// How often orphans that ended are reaped.
const REAP_EVERY: Duration = Duration::from_secs(1);

/// The guard could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum GuardError {
    /// No program was named.
    #[error("guard and leash need a program to run")]
    NoProgram,
    /// The kernel or the program's start failed.
    #[error("the guarded program cannot be run")]
    Run(#[source] io::Error),
    /// Something below it would not end.
    #[error(transparent)]
    Left(#[from] Left),
}

/// Why the guard ended its program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The program ended by itself.
    Program(ExitStatus),
    /// The parent is gone, or told us to end.
    Told,
}

/// The command line of a guard: `program guard -- command...`.
#[must_use]
pub fn command(program: &std::path::Path, guarded: &[OsString]) -> std::process::Command {
    let mut command = std::process::Command::new(program);
    command.arg("guard").arg("--").args(guarded).stdin(Stdio::piped());
    command
}

/// Runs `guarded` until it ends, the standard input ends, or a signal comes; then ends everything below.
///
/// # Errors
/// When the program cannot be started, or something would not end.
pub async fn guard(guarded: &[OsString]) -> Result<Ended, GuardError> {
    if guarded.is_empty() {
        return Err(GuardError::NoProgram);
    }
    // It fails only for the leader of a process group, who has left the parent's group already.
    let _ = rustix::process::setsid();
    set_child_subreaper(Some(rustix::process::getpid())).map_err(|errno| GuardError::Run(errno.into()))?;
    let mut signals = Signals::new().map_err(GuardError::Run)?;
    let own = std::env::current_exe().map_err(GuardError::Run)?;
    let mut child = Command::new(own)
        .arg("leash")
        .arg(own_pid().to_string())
        .arg("--")
        .args(guarded)
        .stdin(Stdio::null())
        .spawn()
        .map_err(GuardError::Run)?;
    let child_pid = child.id().and_then(|pid| i32::try_from(pid).ok());
    let mut ticks = tokio::time::interval(REAP_EVERY);
    // One future for the whole loop: every read that is given up leaves a thread behind that still reads.
    let parent_gone = parent_gone();
    tokio::pin!(parent_gone);
    let ended = loop {
        tokio::select! {
            status = child.wait() => break Ended::Program(status.map_err(GuardError::Run)?),
            () = &mut parent_gone => break Ended::Told,
            () = signals.any() => break Ended::Told,
            _ = ticks.tick() => reap_orphans(child_pid),
        }
    };
    processes::end_descendants(own_pid(), GRACE).await?;
    Ok(ended)
}

/// Becomes `guarded`, which dies when `parent` does.
///
/// # Errors
/// It only returns when it could not become the program.
pub fn leash(parent: i32, guarded: &[OsString]) -> Result<(), GuardError> {
    let (program, arguments) = guarded.split_first().ok_or(GuardError::NoProgram)?;
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(|errno| GuardError::Run(errno.into()))?;
    // The parent may have died before the line above: then nobody would ever send the signal.
    let still = rustix::process::getppid().is_some_and(|pid| pid.as_raw_nonzero().get() == parent);
    if !still {
        return Err(GuardError::Run(io::Error::other("the guard is gone already")));
    }
    Err(GuardError::Run(std::process::Command::new(program).args(arguments).exec()))
}

/// Returns when the other end of the standard input is closed.
async fn parent_gone() {
    let mut rest = [0_u8; 64];
    let mut input = tokio::io::stdin();
    while input.read(&mut rest).await.is_ok_and(|read| read > 0) {}
}

/// The program itself is waited for by its handle; everything else that ended below us is nobody's.
fn reap_orphans(child: Option<i32>) {
    let orphans: Vec<_> =
        processes::table().into_iter().filter(|entry| entry.zombie && Some(entry.process.pid) != child).collect();
    processes::reap(&orphans);
}

/// The signals that end us in an orderly way.
#[derive(Debug)]
pub struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    hang_up: tokio::signal::unix::Signal,
}

impl Signals {
    /// Listens from now on.
    ///
    /// # Errors
    /// When the runtime cannot.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// Returns when one came.
    pub async fn any(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hang_up.recv() => {}
        }
    }
}
