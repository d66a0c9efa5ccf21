//! The Python environment of the emulator: made from the hash-locked requirements, and again only when those change.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use rustix::fs::FlockOperation;
use sha2::{Digest as _, Sha256};
use tokio::process::Command;

use crate::layout::Layout;

/// The oldest Python that the locked packages run on.
const OLDEST: (u32, u32) = (3, 11);
/// Names under which a new enough Python may be found, the plain one first.
const NAMES: [&str; 5] = ["python3", "python3.14", "python3.13", "python3.12", "python3.11"];

/// The environment cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum VenvError {
    /// A file of it.
    #[error("{path} cannot be used")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// No interpreter.
    #[error("no Python {}.{} or newer is on PATH; install python3 with its venv module", OLDEST.0, OLDEST.1)]
    NoPython,
    /// A step failed.
    #[error("{step} failed:\n{said}")]
    Step {
        /// Which.
        step: &'static str,
        /// What it said.
        said: String,
    },
}

/// Makes the environment if the lock file is another than the one that it was made from. Two at once wait for each
/// other.
///
/// # Errors
/// When a step of it fails; the next call begins anew.
pub async fn ensure(layout: &Layout) -> Result<bool, VenvError> {
    let requirements = layout.source("python/requirements.txt");
    let wanted = hash(&requirements)?;
    let venv = layout.venv();
    let stamp = venv.join("requirements.sha256");
    let is_made = || std::fs::read_to_string(&stamp).is_ok_and(|made| made == wanted) && layout.python().exists();
    if is_made() {
        return Ok(false);
    }
    let folder = venv.parent().unwrap_or(layout.root()).to_owned();
    std::fs::create_dir_all(&folder).map_err(|source| VenvError::File { path: folder.clone(), source })?;
    let _lock = lock(folder.join("venv.lock")).await?;
    // Whoever had the lock before us may have made it.
    if is_made() {
        return Ok(false);
    }
    let python = interpreter().await.ok_or(VenvError::NoPython)?;
    run("python3 -m venv", Command::new(python).args(["-m", "venv", "--clear"]).arg(&venv)).await?;
    let mut pip = Command::new(layout.python());
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "--no-compile"])
        .args(["--require-hashes", "--no-deps", "--only-binary", ":all:", "--requirement"])
        .arg(&requirements);
    run("pip install", &mut pip).await?;
    std::fs::write(&stamp, wanted).map_err(|source| VenvError::File { path: stamp, source })?;
    Ok(true)
}

fn hash(path: &Path) -> Result<String, VenvError> {
    let bytes = std::fs::read(path).map_err(|source| VenvError::File { path: path.to_owned(), source })?;
    Ok(hex::encode(Sha256::digest(bytes)))
}

async fn lock(path: PathBuf) -> Result<std::fs::File, VenvError> {
    let taken = tokio::task::spawn_blocking(move || {
        let file = std::fs::File::create(&path).map_err(|source| VenvError::File { path: path.clone(), source })?;
        rustix::fs::flock(&file, FlockOperation::LockExclusive)
            .map_err(|errno| VenvError::File { path, source: errno.into() })?;
        Ok(file)
    });
    taken.await.unwrap_or_else(|panic| Err(VenvError::Step { step: "locking", said: panic.to_string() }))
}

async fn interpreter() -> Option<&'static str> {
    let check = format!("import sys, venv, ensurepip; sys.exit(sys.version_info < {OLDEST:?})");
    for name in NAMES {
        let fits = Command::new(name).args(["-c", &check]).stdin(Stdio::null()).stderr(Stdio::null()).status().await;
        if fits.is_ok_and(|status| status.success()) {
            return Some(name);
        }
    }
    None
}

async fn run(step: &'static str, command: &mut Command) -> Result<(), VenvError> {
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await;
    let output = output.map_err(|error| VenvError::Step { step, said: error.to_string() })?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    Err(VenvError::Step { step, said: String::from_utf8_lossy(&said).trim().to_owned() })
}
