//! `git upload-pack`: one process for one request, with an end in every case.

use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::git;

/// How long one request may take. A pack of a large repository takes seconds.
const TIME_LIMIT: Duration = Duration::from_secs(120);
/// Bytes of an answer, which is kept in memory until it is complete.
const OUTPUT_LIMIT: u64 = 512 * 1024 * 1024;
/// Bytes of what git says when it fails.
const MESSAGE_LIMIT: u64 = 64 * 1024;

/// Git gave no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum UploadPackError {
    #[error("git upload-pack could not be run: {0}")]
    Run(#[source] std::io::Error),
    #[error("git upload-pack failed ({status}): {message}")]
    Failed { status: ExitStatus, message: String },
    #[error("git upload-pack wrote more than may be kept")]
    TooMuch,
    #[error("git upload-pack took longer than {} s", TIME_LIMIT.as_secs())]
    TooLong,
}

/// The refs, for fetching.
pub(super) async fn advertise(bare: &Path, protocol: Option<&str>) -> Result<Vec<u8>, UploadPackError> {
    answer(bare, protocol, &["--http-backend-info-refs"], &[]).await
}

/// One round of fetching.
pub(super) async fn exchange(bare: &Path, protocol: Option<&str>, input: &[u8]) -> Result<Vec<u8>, UploadPackError> {
    answer(bare, protocol, &[], input).await
}

async fn answer(bare: &Path, protocol: Option<&str>, flags: &[&str], input: &[u8]) -> Result<Vec<u8>, UploadPackError> {
    let mut command = git::command(bare);
    // GitLab hands out any commit by its hash, which is how a job gets one that its branch has moved away from.
    command.args(["-c", "uploadpack.allowAnySHA1InWant=true", "-c", "uploadpack.allowFilter=true"]);
    command.args(["upload-pack", "--strict", "--stateless-rpc"]).args(flags).arg(bare);
    command.envs(protocol.map(|protocol| ("GIT_PROTOCOL", protocol)));
    timeout(TIME_LIMIT, run(command.into(), input)).await.map_err(|_| UploadPackError::TooLong)?
}

async fn run(mut command: Command, input: &[u8]) -> Result<Vec<u8>, UploadPackError> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.process_group(0).kill_on_drop(true).spawn().map_err(UploadPackError::Run)?;
    let group = Group::of(&child);
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let feed = async {
        if let Some(mut stdin) = stdin {
            // Git leaves what it need not read; its status says whether that was a failure.
            let _ = stdin.write_all(input).await;
        }
        Ok(())
    };
    let ((), output, message) = tokio::try_join!(feed, read(stdout, OUTPUT_LIMIT), read(stderr, MESSAGE_LIMIT))?;
    let status = child.wait().await.map_err(UploadPackError::Run)?;
    group.over();
    // A failure that git could still tell the client stands in the output.
    if status.success() || !output.is_empty() {
        return Ok(output);
    }
    Err(UploadPackError::Failed { status, message: String::from_utf8_lossy(&message).trim().to_owned() })
}

async fn read(from: Option<impl AsyncRead + Unpin>, limit: u64) -> Result<Vec<u8>, UploadPackError> {
    let mut bytes = Vec::new();
    if let Some(from) = from {
        from.take(limit + 1).read_to_end(&mut bytes).await.map_err(UploadPackError::Run)?;
    }
    if u64::try_from(bytes.len()).is_ok_and(|length| length <= limit) {
        Ok(bytes)
    } else {
        Err(UploadPackError::TooMuch)
    }
}

/// Git and the processes that it starts, which are killed together when the request is given up.
#[derive(Debug)]
struct Group(Option<Pid>);

impl Group {
    /// Takes the group that the child leads.
    fn of(child: &Child) -> Self {
        Self(child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw))
    }

    /// The child has been waited for: its id may belong to others now.
    fn over(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            // It may have ended a moment ago, which is as good.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}
