//! The process that an instance starts first and that outlives its job: it learns from the instance's tags which launch this
//! is and when it expires, starts the process that serves the launch, and powers off at the expiry whatever that does. It
//! holds no secret, and is not below the runner, which ends all that is.

use std::fs;
use std::io;
use std::os::unix::fs::chown;
use std::process::Stdio;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use runnerless_core::chain::chain;
use runnerless_core::fleet::{EXPIRES_TAG, LAUNCH_TAG};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep, timeout};

use super::InstanceArguments;
use crate::once::Exit;
use crate::{Surroundings, say};
use runnerless_metadata::{MetadataError, Service};

/// The word of the command line that serves the launch.
pub(crate) const WORD: &str = "instance-ask";
/// The system's list of users.
const USERS: &str = "/etc/passwd";
/// How long the tags may take to be there. An instance without them is nobody's, and leaves.
const TAGS_LIMIT: Duration = Duration::from_secs(60);
/// The pause before they are read again.
const PAUSE: Duration = Duration::from_secs(1);
/// How often the wall clock is looked at: it may be set while the instance boots.
const LOOK: Duration = Duration::from_secs(5);
/// What the runner has at the expiry to report its job.
const GRACE: Duration = Duration::from_secs(20);

/// What keeps the launch from being served.
#[derive(Debug, thiserror::Error)]
enum NotServed {
    #[error("the HTTP client could not be set up")]
    Http(#[source] reqwest::Error),
    #[error("this instance's tags could not be read: is it a runner's, and does it show its tags to itself?")]
    Tags(#[source] MetadataError),
    #[error("the tag {EXPIRES_TAG} is no number of milliseconds: {0:?}")]
    Expires(String),
    #[error("the runner could not be started")]
    Start(#[source] io::Error),
    #[error("the runner could not be waited for")]
    Wait(#[source] io::Error),
}

/// Has the launch served, and comes back when it is over or expired.
pub(crate) async fn watch(arguments: &InstanceArguments, surroundings: &Surroundings) -> Exit {
    match serve(arguments, surroundings).await {
        Ok(exit) => exit,
        Err(error) => {
            say(&chain(&error));
            Exit::NotBegun
        }
    }
}

async fn serve(arguments: &InstanceArguments, surroundings: &Surroundings) -> Result<Exit, NotServed> {
    let mut terminate = signal(SignalKind::terminate()).map_err(NotServed::Start)?;
    let service = Service::new(&surroundings.metadata_endpoint).map_err(NotServed::Http)?;
    let (launch, expires) = tags(&service).await?;
    let mut runner = start(arguments, &launch).map_err(NotServed::Start)?;
    loop {
        tokio::select! {
            ended = runner.wait() => {
                let code = ended.map_err(NotServed::Wait)?.code();
                // Killed: the launch's lease ends, and the sweep finds it.
                return Ok(code.and_then(|code| u8::try_from(code).ok()).map_or(Exit::Killed, Exit::Runners));
            }
            () = expired(expires) => {
                say("this instance is over its time");
                end(&mut runner).await;
                power_off().await;
                return Ok(Exit::Expired);
            }
            _ = terminate.recv() => tell(&runner),
        }
    }
}

async fn tags(service: &Service) -> Result<(String, u64), NotServed> {
    let until = Instant::now() + TAGS_LIMIT;
    loop {
        let read = async {
            let session = service.session().await?;
            Ok((session.tag(LAUNCH_TAG).await?, session.tag(EXPIRES_TAG).await?))
        };
        match read.await {
            Ok((launch, expires)) => {
                let expires = expires.parse().map_err(|_| NotServed::Expires(expires.chars().take(40).collect()))?;
                return Ok((launch, expires));
            }
            Err(error) if Instant::now() >= until => return Err(NotServed::Tags(error)),
            Err(_) => sleep(PAUSE).await,
        }
    }
}

fn start(arguments: &InstanceArguments, launch: &str) -> io::Result<Child> {
    let program = std::env::current_exe()?;
    let mut command = match arguments
        .user
        .as_deref()
        .map(|name| (name, user(&fs::read_to_string(USERS).unwrap_or_default(), name)))
    {
        Some((_, Some((uid, gid)))) => {
            fs::create_dir_all(&arguments.work)?;
            chown(&arguments.work, Some(uid), Some(gid))?;
            let mut command = Command::new("setpriv");
            command.arg(format!("--reuid={uid}")).arg(format!("--regid={gid}")).arg("--init-groups").arg(program);
            command
        }
        Some((name, None)) => {
            say(&format!("there is no user {name}: the job runs as the user who started this"));
            Command::new(program)
        }
        None => Command::new(program),
    };
    command.arg(WORD).arg("--claim-url").arg(&arguments.claim_url).arg("--work").arg(&arguments.work);
    command.arg("--launch").arg(launch).stdin(Stdio::null()).spawn()
}

/// A user's number and group in the system's list.
fn user(list: &str, name: &str) -> Option<(u32, u32)> {
    let entry = list.lines().find(|line| line.split(':').next() == Some(name))?;
    let mut numbers = entry.split(':').skip(2);
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// Returns when the wall clock has passed this moment (ms since the epoch).
async fn expired(at: u64) {
    loop {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let left = Duration::from_millis(at).saturating_sub(now);
        if left.is_zero() {
            return;
        }
        sleep(left.min(LOOK)).await;
    }
}

/// Gives the runner time to report its job, then ends it.
async fn end(runner: &mut Child) {
    tell(runner);
    if timeout(GRACE, runner.wait()).await.is_err()
        && let Err(error) = runner.start_kill()
    {
        say(&format!("the runner could not be killed: {error}"));
    }
}

/// Sends SIGTERM.
pub(super) fn tell(runner: &Child) {
    let pid = runner.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw);
    if let Some(pid) = pid
        && let Err(error) = rustix::process::kill_process(pid, rustix::process::Signal::TERM)
    {
        say(&format!("the runner could not be told to end: {error}"));
    }
}

/// Powers off, by force when asking nicely fails. What started this program powers off as well when it ends.
async fn power_off() {
    for arguments in [&[][..], &["--force"][..]] {
        match Command::new("poweroff").args(arguments).stdin(Stdio::null()).status().await {
            Ok(status) if status.success() => return,
            Ok(status) => say(&format!("poweroff failed: {status}")),
            Err(error) => say(&format!("poweroff could not be run: {error}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_the_whole_name() {
        let list = "root:x:0:0:root:/root:/bin/bash\nrunnerless2:x:7:7::/:/bin/sh\nrunnerless:x:1001:1002::/home/r:/bin/bash\n";
        assert_eq!(user(list, "runnerless"), Some((1001, 1002)));
        assert_eq!((user(list, "runner"), user(list, ""), user("broken", "broken")), (None, None, None));
    }
}
