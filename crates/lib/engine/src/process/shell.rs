//! One shell: started, listened to, and ended when its time is over.

use std::ffi::OsString;
use std::fs::File;
use std::future::Future;
use std::io::{self, Seek as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::pin::pin;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};
use tokio::io::AsyncReadExt as _;
use tokio::io::unix::AsyncFd;
use tokio::net::unix::pipe::Receiver;
use tokio::time::{Instant, sleep_until};

use super::family::{EndError, Family};
use super::guard::{bind_to_parent, watch_handle};
use crate::log::Stream;

/// How long output may still come after SIGKILL; more means that a process outside our reach holds the pipe.
const AFTER_KILL: Duration = Duration::from_secs(5);
/// Bytes taken from a pipe at once.
const CHUNK: usize = 16 * 1024;

/// The shell could not be run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ShellError {
    #[error("the script could not be handed to the shell")]
    Script(#[source] io::Error),
    #[error("bash could not be started")]
    Start(#[source] io::Error),
    #[error("the shell could not be watched")]
    Watch(#[source] io::Error),
    #[error(transparent)]
    End(#[from] EndError),
}

/// What to run, and where.
#[derive(Debug)]
pub(crate) struct ShellSpec<'a> {
    /// The text that bash reads.
    pub(crate) script: &'a str,
    pub(crate) folder: &'a Path,
    /// The whole environment; nothing is inherited.
    pub(crate) environment: &'a [(&'static str, OsString)],
}

/// How long the job's processes get between SIGTERM and SIGKILL.
pub(crate) type Grace = Duration;

/// How a shell ended.
#[derive(Debug)]
pub(crate) struct Ended<R> {
    /// Its exit status.
    pub(crate) status: ExitStatus,
    /// Why it was stopped, if it was.
    pub(crate) interrupted: Option<R>,
    /// A process that it left behind held the output open until we stopped listening.
    pub(crate) held: bool,
}

/// A running shell.
#[derive(Debug)]
pub(crate) struct Shell {
    child: Child,
    /// Readable when the shell has ended.
    ended: AsyncFd<OwnedFd>,
    out: Option<Receiver>,
    err: Option<Receiver>,
    status: Option<ExitStatus>,
}

impl Shell {
    /// Starts a login shell of its own process group.
    pub(crate) fn start(spec: &ShellSpec<'_>) -> Result<Self, ShellError> {
        let (out, out_end) = io::pipe().map_err(ShellError::Start)?;
        let (err, err_end) = io::pipe().map_err(ShellError::Start)?;
        let mut command = Command::new("bash");
        command
            .arg("--login")
            .env_clear()
            .envs(spec.environment.iter().map(|(key, value)| (key, value)))
            .current_dir(spec.folder)
            .stdin(in_memory(spec.script).map_err(ShellError::Script)?)
            .stdout(out_end)
            .stderr(err_end);
        bind_to_parent(&mut command);
        let child = command.spawn().map_err(ShellError::Start)?;
        // The command holds our copies of the write ends: as long as it lives, the pipes would never end.
        drop(command);
        let watch = |child: &Child| -> io::Result<_> {
            let handle = pidfd_open(pid_of(child)?, PidfdFlags::NONBLOCK)?;
            let out = Receiver::from_owned_fd(out.into())?;
            let err = Receiver::from_owned_fd(err.into())?;
            Ok((watch_handle(handle)?, out, err))
        };
        match watch(&child) {
            Ok((ended, out, err)) => Ok(Self { child, ended, out: Some(out), err: Some(err), status: None }),
            Err(error) => {
                let mut child = child;
                // Nobody would hear it: better no shell than an unwatched one.
                let _ = child.kill();
                let _ = child.wait();
                Err(ShellError::Watch(error))
            }
        }
    }

    /// Listens until the shell has ended and its output is closed.
    ///
    /// `interrupt` may stop it: SIGTERM to its process group, SIGKILL to the whole family after the grace. A process
    /// left behind that keeps the output open is waited for no longer than `hold`.
    pub(crate) async fn run<R>(
        mut self,
        family: &Family,
        mut sink: impl FnMut(Stream, &[u8]),
        interrupt: impl Future<Output = (R, Grace)>,
        hold: Duration,
    ) -> Result<Ended<R>, ShellError> {
        let mut interrupt = pin!(interrupt);
        let mut interrupted = None;
        let mut kill_at = None;
        let mut leave_at: Option<Instant> = None;
        let (mut out, mut err) = (vec![0; CHUNK], vec![0; CHUNK]);
        while !self.is_over() {
            tokio::select! {
                read = read(&mut self.out, &mut out) => deliver(read, &mut self.out, Stream::Out, &out, &mut sink)?,
                read = read(&mut self.err, &mut err) => deliver(read, &mut self.err, Stream::Err, &err, &mut sink)?,
                ready = self.ended.readable(), if self.status.is_none() => {
                    drop(ready.map_err(ShellError::Watch)?);
                    self.status = self.child.try_wait().map_err(ShellError::Watch)?;
                    if self.status.is_some() && kill_at.is_none() {
                        leave_at.get_or_insert(Instant::now() + hold);
                    }
                }
                (reason, grace) = &mut interrupt, if interrupted.is_none() => {
                    interrupted = Some(reason);
                    leave_at = None;
                    kill_at = Some(Instant::now() + grace);
                    self.ask_to_end(family)?;
                }
                () = until(kill_at), if kill_at.is_some() => {
                    kill_at = None;
                    leave_at = Some(Instant::now() + AFTER_KILL);
                    family.signal(Signal::KILL)?;
                }
                () = until(leave_at), if leave_at.is_some() => break,
            }
        }
        let held = !self.is_over();
        let status = match self.status {
            Some(status) => status,
            None => self.child.wait().map_err(ShellError::Watch)?,
        };
        self.status = Some(status);
        Ok(Ended { status, interrupted, held })
    }

    fn is_over(&self) -> bool {
        self.status.is_some() && self.out.is_none() && self.err.is_none()
    }

    /// SIGTERM: to the shell's process group while the shell is there (its id cannot belong to another group then), else
    /// to whatever it left behind.
    fn ask_to_end(&self, family: &Family) -> Result<(), ShellError> {
        if self.status.is_some() {
            return Ok(family.signal(Signal::TERM)?);
        }
        let group = pid_of(&self.child).map_err(ShellError::Watch)?;
        match kill_process_group(group, Signal::TERM) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(errno) => Err(ShellError::Watch(errno.into())),
        }
    }
}

impl Drop for Shell {
    /// A shell whose run was abandoned must not go on unheard.
    fn drop(&mut self) {
        if self.status.is_none() {
            if let Ok(group) = pid_of(&self.child) {
                // Not reaped yet, so the id is still that of our own group.
                let _ = kill_process_group(group, Signal::KILL);
            }
            let _ = self.child.wait();
        }
    }
}

/// The exit code, or the signal that ended the shell.
pub(crate) fn code_of(status: ExitStatus) -> Result<i32, i32> {
    match (status.code(), status.signal()) {
        (Some(code), _) => Ok(code),
        (None, signal) => Err(signal.unwrap_or_default()),
    }
}

/// The script in memory: nothing of it touches the disk, and it has no name that the job could open.
fn in_memory(script: &str) -> io::Result<Stdio> {
    let mut file = File::from(memfd_create("stage", MemfdFlags::CLOEXEC)?);
    file.write_all(script.as_bytes())?;
    file.rewind()?;
    Ok(file.into())
}

fn pid_of(child: &Child) -> io::Result<Pid> {
    i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Reads from a pipe that is open; a closed one never answers.
async fn read(pipe: &mut Option<Receiver>, buffer: &mut [u8]) -> io::Result<usize> {
    match pipe {
        Some(pipe) => pipe.read(buffer).await,
        None => std::future::pending().await,
    }
}

fn deliver(
    read: io::Result<usize>,
    pipe: &mut Option<Receiver>,
    stream: Stream,
    buffer: &[u8],
    sink: &mut impl FnMut(Stream, &[u8]),
) -> Result<(), ShellError> {
    match read.map_err(ShellError::Watch)? {
        0 => *pipe = None,
        n => sink(stream, &buffer[..n]),
    }
    Ok(())
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
