//! How an instance's user data is kept from the machine that it really runs on; see `instance.sh`.
//!
//! It sees programs and their settings read only, nobody's files, and processes of its own only; its root is a user who
//! is nobody outside, with few capabilities and no way to more. What it has in common with the machine are processor,
//! memory (a share of it for files) and network: services on loopback are how it reaches the stack.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

const SCRIPT: &str = include_str!("instance.sh");
/// The most processes of an instance.
const TASKS: u32 = 2000;
/// Root's instances get users from here on, 65536 each: the range that systemd documents as nobody's.
const USERS: u32 = 1_900_000_000;
/// How many such ranges are used, one after the other.
const RANGES: u32 = 3000;
/// The machine does nothing but start a shell.
const PROBE_LIMIT: Duration = Duration::from_secs(60);
/// It switches itself off at once.
const PROBE: &[u8] = b"#!/bin/sh\nexec poweroff\n";

/// This machine does not let us confine anything.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no instance is run here, because this machine does not let its user data be confined: {0}")]
pub struct NoConfinement(String);

/// How user data is started.
#[derive(Clone, Debug)]
pub struct Confinement {
    /// The `runnerless-runner` that instances have.
    runner: PathBuf,
    search_path: String,
}

/// The folder that an instance is started from.
#[derive(Clone, Debug)]
pub(crate) struct Folder(PathBuf);

impl Confinement {
    /// Confines a harmless script, which switches itself off, in exactly the way of all others. `folder` is made for it
    /// and removed.
    ///
    /// # Errors
    /// The kernel or a missing program refuses; why, for people.
    pub async fn new(runner: &Path, search_path: &str, folder: &Path) -> Result<Self, NoConfinement> {
        let no = |error: io::Error| NoConfinement(error.to_string());
        if !runner.is_file() {
            return Err(NoConfinement(format!("{} is not there; run `make build`", runner.display())));
        }
        let confinement = Self { runner: runner.to_owned(), search_path: search_path.to_owned() };
        let folder = Folder::new(folder, PROBE, "127.0.0.1 localhost\n").map_err(no)?;
        let words = confinement.words(&folder, 0, &[]);
        let (first, rest) = words.split_first().ok_or_else(|| NoConfinement("nothing to start".to_owned()))?;
        let mut command = Command::new(first);
        command.args(rest).env_clear().env("PATH", search_path).stdin(Stdio::null()).kill_on_drop(true);
        let output = tokio::time::timeout(PROBE_LIMIT, command.output()).await;
        folder.remove();
        let output = output.map_err(|_| NoConfinement("a harmless script did not end".to_owned()))?;
        let output = output.map_err(|error| NoConfinement(format!("unshare cannot be started: {error}")))?;
        if output.status.success() {
            return Ok(confinement);
        }
        let words = String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; ");
        Err(NoConfinement(format!("a harmless script failed with {}: {words}", output.status)))
    }

    /// The words that start the user data of a folder with these variables. What they start ends with 0 when the power is
    /// switched off.
    pub(crate) fn words(&self, folder: &Folder, number: u32, variables: &[(&str, &str)]) -> Vec<OsString> {
        let root = rustix::process::geteuid().is_root();
        let mut words: Vec<OsString> = vec!["unshare".into()];
        if !root {
            words.extend(["--user", "--map-root-user"].map(OsString::from));
        }
        words.extend(["--mount", "--pid", "--ipc", "--fork", "--kill-child", "--", "/bin/sh"].map(OsString::from));
        let users = if root { (USERS + number % RANGES * 65536).to_string() } else { "own".to_owned() };
        let path = |name: &str| folder.0.join(name).into_os_string();
        words.extend([path("instance.sh"), path("root"), users.into(), folder.0.clone().into_os_string()]);
        words.extend([self.runner.clone().into_os_string(), TASKS.to_string().into()]);
        words.extend(variables.iter().map(|(name, value)| format!("{name}={value}").into()));
        words
    }

    /// Where `unshare` and the like are.
    pub(crate) fn search_path(&self) -> &str {
        &self.search_path
    }
}

impl Folder {
    /// Makes it.
    pub(crate) fn new(path: &Path, user_data: &[u8], hosts: &str) -> io::Result<Self> {
        fs::create_dir_all(path.join("root"))?;
        fs::write(path.join("instance.sh"), SCRIPT)?;
        fs::write(path.join("user-data"), user_data)?;
        fs::write(path.join("hosts"), hosts)?;
        Ok(Self(path.to_owned()))
    }

    /// Gives the instance the programs of this folder, if it is there.
    pub(crate) fn bring(&self, programs: &Path) -> io::Result<()> {
        if !programs.is_dir() {
            return Ok(());
        }
        let bin = self.0.join("bin");
        fs::create_dir_all(&bin)?;
        for program in fs::read_dir(programs)? {
            let program = program?;
            fs::copy(program.path(), bin.join(program.file_name()))?;
        }
        Ok(())
    }

    /// What cannot be removed is below the stack's temporary folder, which goes as a whole.
    pub(crate) fn remove(&self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
