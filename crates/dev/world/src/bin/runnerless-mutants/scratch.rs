//! The copy of the tree that is broken, and its builds.
//!
//! The copy stays where it is between runs: only what changed is copied again, so that only that is built again. The first
//! build starts from what the checkout has built of foreign crates, which is most of the work.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::patch::Patch;

/// A copy that cannot be made, broken or built.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ScratchError {
    /// A file or folder.
    #[error("{0}")]
    File(PathBuf, #[source] io::Error),
    /// A command that cannot be run.
    #[error("{0} cannot be run")]
    Run(&'static str, #[source] io::Error),
    /// A command that failed.
    #[error("{0} failed: {1}")]
    Failed(&'static str, String),
    /// A patch that does not fit.
    #[error("{0} no longer applies: write it anew for the code as it is now")]
    Stale(PathBuf),
}

/// The copy.
#[derive(Debug)]
pub(crate) struct Scratch {
    tree: PathBuf,
    target: PathBuf,
    /// Git must not take the checkout around the copy for the copy's own.
    ceiling: PathBuf,
}

impl Scratch {
    /// Makes the copy, or brings it up to date.
    ///
    /// # Errors
    /// It cannot be made.
    pub(crate) fn make(from: &Path, state: &Path) -> Result<Self, ScratchError> {
        fs::create_dir_all(state).map_err(at(state))?;
        let ceiling = state.canonicalize().map_err(at(state))?;
        let scratch = Self { tree: ceiling.join("tree"), target: ceiling.join("target"), ceiling };
        scratch.copy_tree(from)?;
        if !scratch.target.exists() {
            scratch.take_builds(&from.join("target/release"))?;
        }
        Ok(scratch)
    }

    /// Breaks the copy.
    ///
    /// # Errors
    /// The patch does not fit.
    pub(crate) fn apply(&self, patch: &Patch) -> Result<(), ScratchError> {
        self.git_apply(patch, &[])
    }

    /// Mends it again.
    ///
    /// # Errors
    /// The patch does not fit any more.
    pub(crate) fn mend(&self, patch: &Patch) -> Result<(), ScratchError> {
        self.git_apply(patch, &["--reverse"])
    }

    /// Builds the world from the copy; the inner error is what the compiler says.
    ///
    /// # Errors
    /// Cargo cannot be run.
    pub(crate) fn build(&self) -> Result<Result<Duration, String>, ScratchError> {
        let began = Instant::now();
        let output = Command::new("cargo")
            .args(["build", "--quiet", "--release", "--workspace", "--locked", "--bin", "runnerless-world"])
            .arg("--target-dir")
            .arg(&self.target)
            .current_dir(&self.tree)
            .stdin(Stdio::null())
            .output()
            .map_err(|error| ScratchError::Run("cargo", error))?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        Ok(if output.status.success() { Ok(began.elapsed()) } else { Err(said) })
    }

    /// The program that was built.
    pub(crate) fn world(&self) -> PathBuf {
        self.target.join("release/runnerless-world")
    }

    /// What Git knows of, and what it does not ignore: sources, as they are now.
    fn copy_tree(&self, from: &Path) -> Result<(), ScratchError> {
        fs::create_dir_all(&self.tree).map_err(at(&self.tree))?;
        let wanted = listed(from)?;
        for name in &wanted {
            let (source, copy) = (from.join(name), self.tree.join(name));
            // A file that is deleted and not committed is listed still.
            let Ok(text) = fs::read(&source) else { continue };
            if fs::read(&copy).is_ok_and(|present| present == text) {
                continue;
            }
            copy.parent().map_or(Ok(()), fs::create_dir_all).map_err(at(&copy))?;
            fs::write(&copy, text).map_err(at(&copy))?;
        }
        for name in files(&self.tree, Path::new(""))? {
            if !wanted.contains(&name) || !from.join(&name).exists() {
                let copy = self.tree.join(&name);
                fs::remove_file(&copy).map_err(at(&copy))?;
            }
        }
        Ok(())
    }

    /// Links the foreign crates' builds, which nobody changes in place, and copies Cargo's notes about them.
    fn take_builds(&self, from: &Path) -> Result<(), ScratchError> {
        let release = self.target.join("release");
        let deps = release.join("deps");
        fs::create_dir_all(&deps).map_err(at(&deps))?;
        for folder in ["build", ".fingerprint"].map(|name| from.join(name)).into_iter().filter(|path| path.exists()) {
            let status = Command::new("cp").arg("-a").arg(&folder).arg(&release).status();
            let status = status.map_err(|error| ScratchError::Run("cp", error))?;
            if !status.success() {
                return Err(ScratchError::Failed("cp", folder.display().to_string()));
            }
        }
        let Ok(entries) = fs::read_dir(from.join("deps")) else { return Ok(()) };
        for path in entries.flatten().map(|entry| entry.path()) {
            let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
            let (Some(name), true) = (path.file_name(), ["rlib", "rmeta", "so"].contains(&ending)) else { continue };
            fs::hard_link(&path, deps.join(name)).map_err(at(&path))?;
        }
        Ok(())
    }

    fn git_apply(&self, patch: &Patch, options: &[&str]) -> Result<(), ScratchError> {
        let path = patch.path.canonicalize().map_err(at(&patch.path))?;
        let status = Command::new("git")
            .args(["apply", "--whitespace=nowarn"])
            .args(options)
            .arg(&path)
            .current_dir(&self.tree)
            .env("GIT_CEILING_DIRECTORIES", &self.ceiling)
            .status()
            .map_err(|error| ScratchError::Run("git", error))?;
        if status.success() { Ok(()) } else { Err(ScratchError::Stale(patch.path.clone())) }
    }
}

fn at(path: &Path) -> impl Fn(io::Error) -> ScratchError {
    let path = path.to_owned();
    move |error| ScratchError::File(path.clone(), error)
}

fn listed(tree: &Path) -> Result<BTreeSet<String>, ScratchError> {
    let output = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(tree)
        .output()
        .map_err(|error| ScratchError::Run("git", error))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(ScratchError::Failed("git ls-files", said));
    }
    let names = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(names.split('\0').filter(|name| !name.is_empty()).map(str::to_owned).collect())
}

/// All files below `root`, by their paths below it.
fn files(root: &Path, below: &Path) -> Result<Vec<String>, ScratchError> {
    let folder = root.join(below);
    let mut found = Vec::new();
    for entry in fs::read_dir(&folder).map_err(at(&folder))? {
        let entry = entry.map_err(at(&folder))?;
        let path = below.join(entry.file_name());
        if entry.file_type().map_err(at(&folder))?.is_dir() {
            found.extend(files(root, &path)?);
        } else {
            found.push(path.to_string_lossy().into_owned());
        }
    }
    Ok(found)
}
