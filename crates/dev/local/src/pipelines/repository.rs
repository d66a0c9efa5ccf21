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
    commit_without(None, files, into).await
}

/// The same, and the job `without` is not in its pipeline.
///
/// # Errors
/// When a file cannot be copied, or git fails.
pub(crate) async fn commit_without(
    without: Option<&str>,
    files: &Path,
    into: &Path,
) -> Result<PathBuf, RepositoryError> {
    copy(files, into)
        .and_then(|()| without.map_or(Ok(()), |job| take_out(&into.join(".gitlab-ci.yml"), job)))
        .map_err(|source| RepositoryError::Copy { path: files.to_owned(), source })?;
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

/// Takes a job out of a pipeline's file: its key, and what is indented below.
fn take_out(pipeline: &Path, job: &str) -> io::Result<()> {
    let text = fs::read_to_string(pipeline)?;
    let key = format!("{job}:");
    let mut within = false;
    let kept = text.split_inclusive('\n').filter(|line| {
        if !line.starts_with([' ', '\n']) {
            within = line.trim_end() == key;
        }
        !within
    });
    fs::write(pipeline, kept.collect::<String>())
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

    #[test]
    fn a_job_that_cannot_run_here_is_taken_out_whole_and_alone() {
        let folder = tempfile::tempdir().unwrap();
        let files = folder.path().join("files");
        fs::create_dir_all(&files).unwrap();
        let (first, last) = ("first job:\n  script: [a]\n\n", "# About it.\njob:\n  script:\n    - b\n");
        fs::write(files.join(".gitlab-ci.yml"), format!("{first}this job:\n  script:\n\n    - c\n{last}")).unwrap();
        let into = run(commit_without(Some("this job"), &files, &folder.path().join("repo"))).unwrap();
        assert_eq!(fs::read_to_string(into.join(".gitlab-ci.yml")).unwrap(), format!("{first}{last}"));
    }
}
