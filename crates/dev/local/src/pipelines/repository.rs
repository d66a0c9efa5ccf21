//! The repository whose pipeline runs: the user's, or the demo's own, committed into a fresh git repository.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

/// The repository cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RepositoryError {
    /// No git repository with a pipeline.
    #[error("REPO={0} is no git repository whose HEAD has a .gitlab-ci.yml; commit one there")]
    NoPipeline(PathBuf),
    /// The demo's own files.
    #[error("{path} cannot be copied")]
    Copy {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Git.
    #[error("git cannot be run; install it")]
    NoGit(#[source] io::Error),
    /// Git said no.
    #[error("git {step} failed: {said}")]
    Git {
        /// What was asked of it.
        step: String,
        /// What it said.
        said: String,
    },
}

/// Checks that the committed HEAD of a repository has a pipeline.
///
/// # Errors
/// When it has none.
pub(crate) async fn check(path: &Path) -> Result<PathBuf, RepositoryError> {
    let missing = || RepositoryError::NoPipeline(path.to_owned());
    let path = path.canonicalize().map_err(|_| missing())?;
    match git(&path, &["cat-file", "-e", "HEAD:.gitlab-ci.yml"]).await {
        Ok(()) => Ok(path),
        Err(RepositoryError::Git { .. }) => Err(missing()),
        Err(error) => Err(error),
    }
}

/// Copies `files` into `into` and commits them there.
///
/// # Errors
/// When a file cannot be copied, or git fails.
pub(crate) async fn commit(files: &Path, into: &Path) -> Result<PathBuf, RepositoryError> {
    copy(files, into).map_err(|source| RepositoryError::Copy { path: files.to_owned(), source })?;
    git(into, &["init", "--quiet", "--initial-branch=main"]).await?;
    git(into, &["add", "--all"]).await?;
    git(into, &["commit", "--quiet", "--message", "The demo's pipeline"]).await?;
    Ok(into.to_owned())
}

fn copy(from: &Path, into: &Path) -> io::Result<()> {
    fs::create_dir_all(into)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = into.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &to)?;
        } else {
            fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}

/// Without the user's configuration: no hooks, signing keys or templates of theirs.
async fn git(folder: &Path, arguments: &[&str]) -> Result<(), RepositoryError> {
    let output = Command::new("git")
        .arg("-C")
        .arg(folder)
        .args(["-c", "user.name=Runnerless demo", "-c", "user.email=demo@example.com"])
        .args(["-c", "safe.directory=*", "-c", "core.hooksPath=/dev/null"])
        .args(arguments)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_SYSTEM", "/dev/null")
        .env_remove("GIT_DIR")
        .env_remove("GIT_INDEX_FILE")
        .env_remove("GIT_WORK_TREE")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(RepositoryError::NoGit)?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(RepositoryError::Git { step: arguments.first().copied().unwrap_or_default().to_owned(), said })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run<F: Future>(future: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    #[test]
    fn the_committed_head_is_what_counts() {
        let folder = tempfile::tempdir().unwrap();
        let (files, into) = (folder.path().join("files"), folder.path().join("repo"));
        fs::create_dir_all(files.join("sub")).unwrap();
        fs::write(files.join("sub/run.sh"), "true\n").unwrap();
        assert!(matches!(run(check(&files)), Err(RepositoryError::NoPipeline(_))));
        run(commit(&files, &into)).unwrap();
        // There, but not committed.
        fs::write(into.join(".gitlab-ci.yml"), "a: {script: ['true']}\n").unwrap();
        assert!(matches!(run(check(&into)), Err(RepositoryError::NoPipeline(_))));
        fs::write(files.join(".gitlab-ci.yml"), "a: {script: ['true']}\n").unwrap();
        let again = run(commit(&files, &folder.path().join("again"))).unwrap();
        assert_eq!(run(check(&again)).unwrap(), again.canonicalize().unwrap());
    }
}
