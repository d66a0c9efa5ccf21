//! The folders of a job: all below the work root, and nothing outside it is touched.
//!
//! ```text
//! <root>/.lock                                     held while a runner uses the root
//! <root>/builds/<short token>/0/<group>/<project>      the work tree, kept for the next job
//! <root>/builds/<short token>/0/<group>/<project>.tmp  file variables, GITLAB_ENV; removed
//! <root>/jobs/<job id>/{home,tmp}                  HOME and TMPDIR; removed
//! ```

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use runnerless_gitlab::protocol::Secret;
use url::Url;

use crate::tree::{remove_tree, unlock_way};
use crate::variables::is_shell_name;

/// The folders could not be prepared or removed.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// Another runner works below this root.
    #[error("{0}: another runner uses this work folder")]
    InUse(PathBuf),
    /// The path of a folder cannot be written in a script.
    #[error("{0:?}: the path of the work folder must be valid UTF-8")]
    NotText(PathBuf),
    /// A folder or file could not be made, written or removed.
    #[error("{path}: cannot {what}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A folder that should be below the root leads out of it.
    #[error("{0}: leads out of the work folder")]
    Outside(PathBuf),
}

/// The work root, taken for this process until dropped.
#[derive(Debug)]
pub struct WorkRoot {
    path: PathBuf,
    _lock: File,
}

impl WorkRoot {
    /// Makes the folder if it is missing and takes it.
    ///
    /// # Errors
    /// When another runner has it, or it cannot be made.
    pub fn take(path: &Path) -> Result<Self, PlaceError> {
        make(path)?;
        let path = path.canonicalize().map_err(io_at("find", path))?;
        if path.to_str().is_none() {
            return Err(PlaceError::NotText(path));
        }
        let lock_path = path.join(".lock");
        let lock = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(false)
            .mode(0o600)
            .open(&lock_path)
            .map_err(io_at("open", &lock_path))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(PlaceError::InUse(path)),
            Err(TryLockError::Error(source)) => Err(PlaceError::Io { what: "lock", path: lock_path, source }),
        }
    }

    /// The root's real path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// The folders of one job.
#[derive(Debug)]
pub(crate) struct Places {
    root: PathBuf,
    pub(crate) builds: PathBuf,
    pub(crate) project: PathBuf,
    pub(crate) temporary: PathBuf,
    job: PathBuf,
}

impl Places {
    /// Names the folders; nothing is made yet.
    pub(crate) fn new(
        root: &WorkRoot,
        token: &Secret,
        job_id: u64,
        repo_url: &str,
        project_id: Option<u64>,
        empty: bool,
    ) -> Self {
        let builds = root.path.join("builds");
        let short = safe_name(token.short()).unwrap_or("runner");
        let mut project = builds.join(short).join("0");
        project.extend(project_parts(repo_url, project_id));
        if empty {
            project.as_mut_os_string().push("-empty");
        }
        let mut temporary = project.clone();
        temporary.as_mut_os_string().push(".tmp");
        let job = root.path.join("jobs").join(job_id.to_string());
        Self { root: root.path.clone(), builds, project, temporary, job }
    }

    /// HOME of the job's processes.
    pub(crate) fn home(&self) -> PathBuf {
        self.job.join("home")
    }

    /// TMPDIR of the job's processes.
    pub(crate) fn tmpdir(&self) -> PathBuf {
        self.job.join("tmp")
    }

    /// Where `$GITLAB_ENV` is.
    pub(crate) fn env_file(&self) -> PathBuf {
        self.temporary.join("gitlab_runner_env")
    }

    /// Where a file variable is.
    pub(crate) fn file_variable(&self, key: &str) -> String {
        text(&self.temporary.join(key))
    }

    /// Makes the folders, fresh where they are the job's own.
    pub(crate) fn make(&self) -> Result<(), PlaceError> {
        self.unlock()?;
        if let Some(parent) = self.project.parent() {
            make(parent)?;
            self.check_inside(parent)?;
        }
        self.make_project()?;
        for own in [&self.temporary, &self.job] {
            remove(own)?;
            make(own)?;
            self.check_inside(own)?;
        }
        for own in [self.home(), self.tmpdir()] {
            make(&own)?;
        }
        Ok(())
    }

    /// Makes the work tree's folder where nothing is yet, as the shell would, without a process for it. What an earlier job
    /// left there is the stage's business.
    fn make_project(&self) -> Result<(), PlaceError> {
        match fs::create_dir(&self.project) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(io_at("make", &self.project)(error)),
            _ => Ok(()),
        }
    }

    /// Writes a file variable. A name that the shell has not is not written: nothing could refer to it.
    pub(crate) fn write_variable(&self, key: &str, content: &str) -> Result<(), PlaceError> {
        if is_shell_name(key) { self.write(&self.temporary.join(key), content) } else { Ok(()) }
    }

    /// Writes the git configuration of the job's HOME.
    pub(crate) fn write_git_config(&self, content: &str) -> Result<(), PlaceError> {
        self.write(&self.home().join(".gitconfig"), content)
    }

    fn write(&self, path: &Path, content: &str) -> Result<(), PlaceError> {
        let options = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
        options.and_then(|mut file| file.write_all(content.as_bytes())).map_err(io_at("write", path))
    }

    /// Removes what belongs to this job alone. The work tree stays for the next one.
    pub(crate) fn clean(&self) -> Result<(), PlaceError> {
        self.unlock()?;
        remove(&self.temporary)?;
        remove(&self.job)
    }

    /// Opens the folders above our own again, if a job locked them.
    fn unlock(&self) -> Result<(), PlaceError> {
        [&self.temporary, &self.job]
            .into_iter()
            .filter_map(|own| own.parent())
            .try_for_each(|folder| unlock_way(&self.root, folder).map_err(io_at("open", folder)))
    }

    fn check_inside(&self, path: &Path) -> Result<(), PlaceError> {
        let real = path.canonicalize().map_err(io_at("find", path))?;
        if real.starts_with(&self.root) { Ok(()) } else { Err(PlaceError::Outside(path.to_owned())) }
    }
}

/// A path of ours as text: the root is checked to be text, and all below it is made of text.
pub(crate) fn text(path: &Path) -> String {
    path.to_str().expect("the work root is valid UTF-8 and so is every name below it").to_owned()
}

/// `group/project` of the repository's URL, as the official runner names its folders; `project-<id>` where the URL has
/// no such path or one that would lead elsewhere.
fn project_parts(repo_url: &str, project_id: Option<u64>) -> Vec<String> {
    let path = Url::parse(repo_url).map(|url| url.path().to_owned()).unwrap_or_default();
    let path = path.trim_matches('/').trim_end_matches(".git");
    let parts: Option<Vec<String>> = path.split('/').map(|part| safe_name(part).map(str::to_owned)).collect();
    parts.unwrap_or_else(|| vec![format!("project-{}", project_id.unwrap_or_default())])
}

/// A name that is one plain folder: GitLab's own paths are made of letters, digits, `_`, `-` and `.`.
fn safe_name(name: &str) -> Option<&str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    (!name.is_empty() && name.len() < 200 && !name.starts_with('.') && name.chars().all(plain)).then_some(name)
}

fn make(path: &Path) -> Result<(), PlaceError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(io_at("make", path))
}

fn remove(path: &Path) -> Result<(), PlaceError> {
    remove_tree(path).map_err(io_at("remove", path))
}

fn io_at(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> PlaceError {
    let path = path.to_owned();
    move |source| PlaceError::Io { what, path, source }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn places(root: &WorkRoot, url: &str) -> Places {
        Places::new(root, &Secret::new("glrt-t3_abcdefghijkl"), 7, url, Some(380), false)
    }

    #[test]
    fn folders_are_named_as_the_official_runner_names_them() {
        let folder = tempfile::tempdir().unwrap();
        let root = WorkRoot::take(folder.path()).unwrap();
        let places = places(&root, "https://u:p@host/acme/back.end/widget.git");
        assert_eq!(places.project, root.path().join("builds/abcdefghi/0/acme/back.end/widget"));
        assert_eq!(places.temporary, root.path().join("builds/abcdefghi/0/acme/back.end/widget.tmp"));
    }

    #[test]
    fn no_url_leads_out_of_the_root() {
        let folder = tempfile::tempdir().unwrap();
        let root = WorkRoot::take(folder.path()).unwrap();
        for url in [
            "",
            "nonsense",
            "https://h/",
            "https://h/a%2f..%2fb",
            "https://h/a//b",
            "https://h/.git/x",
            "https://h/a/%20",
        ] {
            let places = places(&root, url);
            assert_eq!(places.project, root.path().join("builds/abcdefghi/0/project-380"), "{url}");
        }
        assert!(places(&root, "https://h/../../../etc").project.starts_with(root.path().join("builds/abcdefghi/0")));
    }

    #[test]
    fn a_link_left_by_an_earlier_job_is_replaced_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("keep"), "x").unwrap();
        let root = WorkRoot::take(folder.path()).unwrap();
        let places = places(&root, "https://h/acme/widget.git");
        make(places.project.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(outside.path(), &places.temporary).unwrap();
        places.make().unwrap();
        places.write_variable("CONF", "content").unwrap();
        assert!(places.temporary.symlink_metadata().unwrap().is_dir());
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
        places.clean().unwrap();
        assert!(!places.temporary.exists() && !places.home().exists());
    }

    #[test]
    fn a_parent_that_leads_outside_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        let root = WorkRoot::take(folder.path()).unwrap();
        std::os::unix::fs::symlink(outside.path(), root.path().join("builds")).unwrap();
        assert!(matches!(places(&root, "https://h/a/b.git").make(), Err(PlaceError::Outside(_))));
    }

    #[test]
    fn folders_that_a_job_locked_above_its_own_are_opened_again() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let root = WorkRoot::take(folder.path()).unwrap();
        let places = places(&root, "https://h/acme/widget.git");
        places.make().unwrap();
        let way = || places.temporary.ancestors().skip(1).take_while(|above| *above != root.path());
        for above in way() {
            fs::set_permissions(above, fs::Permissions::from_mode(0o000)).unwrap();
        }
        places.clean().unwrap();
        assert!(way().all(|above| fs::metadata(above).unwrap().permissions().mode() & 0o700 == 0o700));
        places.make().unwrap();
        places.clean().unwrap();
        assert!(!places.temporary.exists());
    }

    #[test]
    fn a_root_has_one_runner_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let first = WorkRoot::take(folder.path()).unwrap();
        assert!(matches!(WorkRoot::take(folder.path()), Err(PlaceError::InUse(_))));
        drop(first);
        WorkRoot::take(folder.path()).unwrap();
    }

    #[test]
    fn read_only_leftovers_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let locked = folder.path().join("job/locked");
        fs::create_dir_all(&locked).unwrap();
        fs::write(locked.join("file"), "x").unwrap();
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(&locked, fs::Permissions::from_mode(0o500)).unwrap();
        remove(&folder.path().join("job")).unwrap();
        assert!(!folder.path().join("job").exists());
    }
}
