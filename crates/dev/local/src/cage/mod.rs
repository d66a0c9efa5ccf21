//! A cage for hostile programs: an unprivileged user, file systems, processes and IPC of its own.
//!
//! Whatever is in it sees the machine's files as a stranger, has a `/tmp`, `/var/tmp` and `/dev/shm` of a few megabytes
//! that nobody else sees, sees and signals only processes of the cage, may have so many processes, and is gone when the
//! cage's first process ends. Root takes a user that nobody else is; others take themselves, in a user namespace.

use std::ffi::OsString;
use std::process::Stdio;

use tokio::process::Command;

/// The most processes in a cage.
pub const TASKS: u32 = 200;
/// Root's cages take one of these users, by this process's id: two at once should not share their processes' number.
const USERS: std::ops::Range<u32> = 40_000..60_000;
const SCRIPT: &str = include_str!("cage.sh");

/// This machine does not let us make one.
#[derive(Debug, thiserror::Error)]
#[error("no cage of namespaces can be made here: {0}")]
pub struct NoCage(String);

/// How programs are started in a cage. Each start makes a new one.
#[derive(Clone, Debug)]
pub struct Cage {
    user: Option<u32>,
}

impl Cage {
    /// Tries one.
    ///
    /// # Errors
    /// The kernel or a missing program refuses; why, for people.
    pub async fn new() -> Result<Self, NoCage> {
        let root = rustix::process::geteuid().is_root();
        let cage = Self { user: root.then(|| USERS.start + std::process::id() % (USERS.end - USERS.start)) };
        let prefix = cage.prefix();
        let (first, rest) = prefix.split_first().ok_or_else(|| NoCage("nothing to start".to_owned()))?;
        let mut command = Command::new(first);
        command.args(rest).arg("/bin/true").stdin(Stdio::null()).kill_on_drop(true);
        let output = command.output().await.map_err(|error| NoCage(format!("unshare cannot be started: {error}")))?;
        if output.status.success() {
            return Ok(cage);
        }
        Err(NoCage(String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; ")))
    }

    /// The words before the program and its arguments. The process that they start stays, and takes the cage with it.
    #[must_use]
    pub fn prefix(&self) -> Vec<OsString> {
        let mut words = vec!["unshare"];
        if self.user.is_none() {
            words.extend(["--user", "--map-root-user"]);
        }
        words.extend(["--mount", "--pid", "--ipc", "--fork", "--kill-child", "--mount-proc", "--"]);
        words.extend(["/bin/sh", "-c", SCRIPT, "cage"]);
        let mut words: Vec<OsString> = words.into_iter().map(OsString::from).collect();
        words.push(self.user.map_or_else(|| "own".to_owned(), |user| user.to_string()).into());
        words.push(TASKS.to_string().into());
        words
    }

    /// The user's number; none where it is the caller.
    #[must_use]
    pub fn number(&self) -> Option<u32> {
        self.user
    }

    /// In words, for people.
    #[must_use]
    pub fn user(&self) -> String {
        self.user.map_or_else(|| "the caller, in a user namespace without rights".to_owned(), |user| user.to_string())
    }
}
