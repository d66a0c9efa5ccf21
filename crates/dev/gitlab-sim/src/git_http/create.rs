//! Bare repositories out of others, and out of texts.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::error::ImportError;
use super::git;
use super::store::{Head, check_path, head};

/// The branch of a repository that has none checked out, and of one made from texts.
const BRANCH: &str = "main";
/// Who commits texts, and when: always the same, so that the commit has the same hash every time.
const AUTHOR: &str = "Simulator <simulator@gitlab.example> 1767225600 +0000";
const MESSAGE: &str = "Files of the case\n";

/// How git reads the source: as whoever owns it, and any commit of it.
const READ_SOURCE: &str = "git -c safe.directory='*' -c uploadpack.allowAnySHA1InWant=true upload-pack";

/// Copies the commit at `HEAD`, and the history that it needs, into a bare repository, which is made when it is not
/// there. What is not committed stays behind, and so do other branches and tags. Blocks until git is done.
///
/// # Errors
/// When the source is no repository, has no commit, or cannot be copied.
pub fn import(source: &Path, bare: &Path) -> Result<Head, ImportError> {
    let source =
        fs::canonicalize(source).map_err(|error| ImportError::Folder { path: source.into(), source: error })?;
    let place = git_dir(&source, bare)?;
    let asked = |args: &[&str]| {
        let mut command = git::on(&place);
        command.args(args);
        git::line(command)
    };
    let sha = asked(&["rev-parse", "--verify", "--quiet", "HEAD^{commit}"])
        .map_err(|_| ImportError::NoCommit(source.clone()))?;
    let branch = asked(&["symbolic-ref", "--quiet", "--short", "HEAD"]).unwrap_or_else(|_| BRANCH.to_owned());
    create(bare, &branch, &asked(&["rev-parse", "--show-object-format"])?)?;
    let mut fetch = git::on(bare);
    fetch
        .args(["fetch", "--quiet", "--force", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance"])
        // A shallow source has no more history; its copy is as shallow.
        .args(["--update-shallow", "--upload-pack", READ_SOURCE])
        .arg(&place)
        .arg(format!("{sha}:refs/heads/{branch}"));
    git::run(fetch, &[])?;
    head(bare, &branch)
}

/// Makes a bare repository with one commit of these files, by path, on `main`. The same files give the same commit.
/// Blocks until git is done.
///
/// # Errors
/// When there is a repository already, or a path is not one of a file.
pub fn init(bare: &Path, files: &BTreeMap<String, String>) -> Result<Head, ImportError> {
    if bare.join("HEAD").exists() {
        return Err(ImportError::Exists(bare.to_owned()));
    }
    let commit = commit_of(files)?;
    create(bare, BRANCH, "sha1")?;
    let mut fast_import = git::on(bare);
    fast_import.args(["fast-import", "--quiet"]);
    git::run(fast_import, commit.as_bytes())?;
    head(bare, BRANCH)
}

/// The files as a commit in the language of `git fast-import`.
fn commit_of(files: &BTreeMap<String, String>) -> Result<String, ImportError> {
    let mut commit = format!("commit refs/heads/{BRANCH}\nauthor {AUTHOR}\ncommitter {AUTHOR}\n{}", data(MESSAGE));
    for (path, text) in files {
        check_path(path)?;
        let folders = path.match_indices('/').map(|(at, _)| &path[..at]);
        if folders.into_iter().any(|folder| files.contains_key(folder)) {
            return Err(ImportError::BadPath { path: path.clone(), problem: "goes through another file" });
        }
        let quoted = path.replace('\\', "\\\\").replace('"', "\\\"");
        commit.push_str(&format!("M 100644 inline \"{quoted}\"\n{}", data(text)));
    }
    Ok(commit)
}

fn data(text: &str) -> String {
    format!("data {}\n{text}\n", text.len())
}

/// Makes an empty bare repository with a branch checked out, or points an existing one at that branch.
fn create(bare: &Path, branch: &str, object_format: &str) -> Result<(), ImportError> {
    fs::create_dir_all(bare).map_err(|source| ImportError::Folder { path: bare.to_owned(), source })?;
    let mut init = git::command(bare);
    init.args(["init", "--quiet", "--bare", "--template=", "--object-format", object_format]).arg(bare);
    git::run(init, &[])?;
    let mut point = git::on(bare);
    point.args(["symbolic-ref", "HEAD", &format!("refs/heads/{branch}")]);
    git::run(point, &[]).map(drop)
}

/// The git folder of a repository. A folder inside a repository is not one: its files are a part of another project.
fn git_dir(source: &Path, home: &Path) -> Result<PathBuf, ImportError> {
    let mut command = git::command(home);
    command.args(["rev-parse", "--absolute-git-dir"]).current_dir(source);
    if let Some(parent) = source.parent() {
        command.env("GIT_CEILING_DIRECTORIES", parent);
    }
    match git::line(command) {
        Ok(path) => Ok(PathBuf::from(path)),
        Err(ImportError::Git { message, .. }) => Err(ImportError::NotARepository { path: source.to_owned(), message }),
        Err(other) => Err(other),
    }
}
