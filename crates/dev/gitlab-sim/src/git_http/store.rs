//! What is in a bare repository.

use std::path::Path;

use super::error::ImportError;
use super::git;

/// A commit at the tip of a branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The branch, without `refs/heads/`.
    pub branch: String,
    /// The commit's hash.
    pub sha: String,
    /// The hash of its first parent.
    pub parent_sha: Option<String>,
    /// Its whole message.
    pub message: String,
    /// Its author's name.
    pub author_name: String,
    /// Its author's address.
    pub author_email: String,
    /// When it was committed, in seconds since the epoch.
    pub committed_at_s: i64,
}

/// The tip of a branch.
pub(super) fn head(bare: &Path, branch: &str) -> Result<Head, ImportError> {
    let mut log = git::on(bare);
    log.args(["log", "-1", "--no-show-signature", "--no-color", "--encoding=UTF-8"])
        .arg("--format=tformat:%H%x00%P%x00%an%x00%ae%x00%ct%x00%B")
        .arg(format!("refs/heads/{branch}"))
        .arg("--");
    let text = String::from_utf8_lossy(&git::run(log, &[])?).into_owned();
    let fields: Vec<_> = text.splitn(6, '\0').collect();
    let [sha, parents, author_name, author_email, committed_at_s, message] = fields[..] else {
        return Err(ImportError::Answer(text));
    };
    Ok(Head {
        branch: branch.to_owned(),
        sha: sha.to_owned(),
        parent_sha: parents.split_whitespace().next().map(str::to_owned),
        // The format ends its line after the message, which has its own end.
        message: message.strip_suffix('\n').unwrap_or(message).to_owned(),
        author_name: author_name.to_owned(),
        author_email: author_email.to_owned(),
        committed_at_s: committed_at_s.parse().map_err(|_| ImportError::Answer(text.clone()))?,
    })
}

/// The content of a file at a commit. `None` when there is no such file there.
///
/// # Errors
/// When the commit is not there, or the path is not one of a file.
pub fn read_file(bare: &Path, sha: &str, file: &str) -> Result<Option<Vec<u8>>, ImportError> {
    check_sha(sha)?;
    check_path(file)?;
    let mut list = git::on(bare);
    list.args(["--literal-pathspecs", "ls-tree", "-z", sha, "--", file]);
    let entry = String::from_utf8_lossy(&git::run(list, &[])?).into_owned();
    if entry.is_empty() {
        return Ok(None);
    }
    let (about, _) = entry.split_once('\t').ok_or_else(|| ImportError::Answer(entry.clone()))?;
    let [_, "blob", object] = about.split(' ').collect::<Vec<_>>()[..] else { return Ok(None) };
    let mut cat = git::on(bare);
    cat.args(["cat-file", "blob", object]);
    git::run(cat, &[]).map(Some)
}

/// Creates a ref on a commit, or moves it there.
///
/// # Errors
/// When the name is not one, or the commit is not there.
pub fn create_ref(bare: &Path, name: &str, sha: &str) -> Result<(), ImportError> {
    check_sha(sha)?;
    let bad = || ImportError::BadRef(name.to_owned());
    if !name.starts_with("refs/") {
        return Err(bad());
    }
    let mut check = git::command(bare);
    check.args(["check-ref-format", name]);
    git::run(check, &[]).map_err(|error| if let ImportError::Git { .. } = error { bad() } else { error })?;
    let mut update = git::on(bare);
    update.args(["update-ref", name, sha]);
    git::run(update, &[]).map(drop)
}

fn check_sha(sha: &str) -> Result<(), ImportError> {
    let fits = (sha.len() == 40 || sha.len() == 64) && sha.bytes().all(|byte| byte.is_ascii_hexdigit());
    if fits { Ok(()) } else { Err(ImportError::BadSha(sha.to_owned())) }
}

/// Refuses paths that could mean anything but a file below the top.
pub(super) fn check_path(path: &str) -> Result<(), ImportError> {
    let bad = |problem| Err(ImportError::BadPath { path: path.to_owned(), problem });
    if path.chars().any(char::is_control) {
        return bad("has a control character");
    }
    for segment in path.split('/') {
        match segment {
            "" => return bad("is empty, begins or ends with a slash, or has two in a row"),
            "." | ".." => return bad("goes through `.` or `..`"),
            _ if segment.eq_ignore_ascii_case(".git") => return bad("goes through `.git`"),
            _ => {}
        }
    }
    Ok(())
}
