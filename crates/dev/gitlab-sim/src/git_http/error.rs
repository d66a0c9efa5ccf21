//! Why a repository cannot be made or read.

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;

/// A repository cannot be made or read.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The source is no git repository.
    #[error("{} is not the top of a git repository: {message}; give a folder where `git init` was run", .path.display())]
    NotARepository {
        /// The folder.
        path: PathBuf,
        /// What git says.
        message: String,
    },
    /// The source has no commit.
    #[error("{} has no commit; commit its files first", .0.display())]
    NoCommit(PathBuf),
    /// There is a repository already.
    #[error("{} is there already; choose another path", .0.display())]
    Exists(PathBuf),
    /// The path of a file in a repository.
    #[error("the file path {path:?} {problem}; write it relative to the top, as `folder/file`")]
    BadPath {
        /// The path.
        path: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The name of a ref.
    #[error("{0:?} is not the name of a ref; write it in full, as `refs/pipelines/1`")]
    BadRef(String),
    /// The hash of a commit.
    #[error("{0:?} is not the hash of a commit; write its 40 or 64 digits")]
    BadSha(String),
    /// A folder cannot be read or made.
    #[error("{} cannot be read or made", .path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Git cannot be run.
    #[error("git cannot be run; is it installed in /usr/local/bin, /usr/bin or /bin?")]
    Start(#[source] io::Error),
    /// Git failed.
    #[error("git failed ({status}): {message}")]
    Git {
        /// How it ended.
        status: ExitStatus,
        /// What it says.
        message: String,
    },
    /// Git's answer is not what its documentation says.
    #[error("git gave an answer that is not understood: {0:?}")]
    Answer(String),
}
