//! The environment that AWS gives a function of its runtime `provided.al2023`, as far as Debian's packages can show it: bash,
//! coreutils, curl, grep, sed and awk, and no git, tar, unzip, jq or python; everything read only but a `/tmp` of 512 MB; no
//! `/dev/shm`; a user without a name, a home and rights. `docs/limits.md` says in what it differs from Lambda's.
//!
//! Its processes are in namespaces of their own. Beside the function's own folder they see what is below `/opt`: a layer,
//! or nothing.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use crate::layout::Layout;

/// Makes the root.
const MAKE: &str = include_str!("root.sh");
/// Starts a program in it.
const ENTER: &str = include_str!("enter.sh");
/// Names what [`MAKE`] makes: another number when it makes something else.
const ROOT: &str = "bookworm-1";
/// The program as the function finds it.
pub const PROGRAM: &str = "/var/task/bootstrap";
/// Exit code of [`MAKE`] where this machine cannot make a root.
const LACKS: i32 = 3;

/// This machine cannot show it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NoBare(String);

/// How functions are started in it.
#[derive(Clone, Debug)]
pub struct Bare {
    root: PathBuf,
    layer: Option<PathBuf>,
    task: PathBuf,
    inside: PathBuf,
    script: PathBuf,
}

impl Bare {
    /// Makes the root unless an earlier call did, puts `program` into the function's folder, and enters once. What belongs to
    /// this use is below `folder`, which may be there.
    ///
    /// # Errors
    /// The kernel refuses, or something is missing; why, for people.
    pub async fn new(layout: &Layout, folder: &Path, program: &Path, layer: Option<PathBuf>) -> Result<Self, NoBare> {
        probe().await?;
        let root = root(layout).await?;
        let at = |path: &Path| {
            let path = path.display().to_string();
            move |error: io::Error| NoBare(format!("{path}: {error}"))
        };
        let bare = Self {
            root,
            layer,
            task: folder.join("task"),
            inside: folder.join("inside"),
            script: folder.join("enter.sh"),
        };
        for made in [&bare.task, &bare.inside] {
            fs::create_dir_all(made).map_err(at(made))?;
        }
        fs::write(&bare.script, ENTER).map_err(at(&bare.script))?;
        // A new file takes the place of the old one: a running function keeps the one that it was started from.
        let (new, placed) = (bare.task.join("bootstrap.new"), bare.task.join("bootstrap"));
        fs::copy(program, &new).and_then(|_| fs::rename(&new, &placed)).map_err(at(program))?;
        let output = output(&bare.words("/usr/bin/true")).await?;
        if output.0 { Ok(bare) } else { Err(NoBare(format!("nothing can be started in it: {}", output.1))) }
    }

    /// The words that start a program of the function's own view. The process that they start stays, and takes all that is in
    /// the namespaces with it.
    #[must_use]
    pub fn words(&self, program: &str) -> Vec<OsString> {
        let mut words = self.prefix();
        words.push(program.into());
        words
    }

    /// The same without the program.
    #[must_use]
    pub fn prefix(&self) -> Vec<OsString> {
        let mut words: Vec<OsString> = namespaces().into_iter().map(OsString::from).collect();
        words.extend(["/bin/sh".into(), self.script.clone().into_os_string(), self.root.clone().into_os_string()]);
        words.push(self.layer.clone().unwrap_or_default().into_os_string());
        words.extend([self.task.clone().into_os_string(), self.inside.clone().into_os_string()]);
        words.push(if is_root() { "root" } else { "own" }.into());
        words
    }

    /// The layer below `/opt`.
    #[must_use]
    pub fn layer(&self) -> Option<&Path> {
        self.layer.as_deref()
    }
}

/// The tools layer for this machine's processor, if `make layer` made the one of these sources.
///
/// # Errors
/// It is not there, or is another one's; with the cure.
pub fn layer(layout: &Layout) -> Result<PathBuf, NoBare> {
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "x86_64" };
    let folder = layout.source("target/layer").join(architecture);
    let output =
        std::process::Command::new(layout.source("layers/tools/make.sh")).arg("--is-made").arg(architecture).output();
    match output {
        Ok(output) if output.status.success() => Ok(folder),
        Ok(_) => Err(NoBare("the tools layer of these sources is not built; run `make layer`".to_owned())),
        Err(error) => Err(NoBare(format!("layers/tools/make.sh cannot be run: {error}"))),
    }
}

async fn root(layout: &Layout) -> Result<PathBuf, NoBare> {
    let folder = layout.source(".local/bare");
    let root = folder.join(ROOT);
    let lock = folder.join("lock");
    let held = || {
        fs::create_dir_all(&folder)?;
        let lock = fs::File::create(&lock)?;
        lock.lock()?;
        Ok(lock)
    };
    // Two processes make it one after the other: the second finds it.
    let _lock = held().map_err(|error: io::Error| NoBare(format!("{}: {error}", folder.display())))?;
    if root.is_dir() {
        return Ok(root);
    }
    let output = Command::new("bash").args(["-c", MAKE, "root.sh"]).arg(&root).stdin(Stdio::null()).output().await;
    let output = output.map_err(|error| NoBare(format!("bash cannot be started: {error}")))?;
    let said = String::from_utf8_lossy(&output.stdout);
    match output.status.code() {
        Some(0) => Ok(root),
        Some(LACKS) => Err(NoBare(format!("no root can be made: {}", said.lines().last().unwrap_or_default()))),
        _ => Err(NoBare(format!("no root can be made: {}", String::from_utf8_lossy(&output.stderr).trim()))),
    }
}

/// Whether this machine allows what [`ENTER`] does.
async fn probe() -> Result<(), NoBare> {
    let words: Vec<OsString> = namespaces().into_iter().chain(["true"]).map(OsString::from).collect();
    let (fine, said) = output(&words).await?;
    if fine { Ok(()) } else { Err(NoBare(format!("this machine allows no namespaces: {said}"))) }
}

fn namespaces() -> Vec<&'static str> {
    let mut words = vec!["unshare"];
    if !is_root() {
        words.extend(["--user", "--map-root-user"]);
    }
    words.extend(["--mount", "--pid", "--ipc", "--fork", "--kill-child", "--"]);
    words
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Whether it succeeded, and what it said.
async fn output(words: &[OsString]) -> Result<(bool, String), NoBare> {
    let (first, rest) = words.split_first().ok_or_else(|| NoBare("nothing to start".to_owned()))?;
    let output = Command::new(first).args(rest).stdin(Stdio::null()).kill_on_drop(true).output().await;
    let output = output.map_err(|error| NoBare(format!("unshare cannot be started: {error}")))?;
    Ok((output.status.success(), String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; ")))
}
