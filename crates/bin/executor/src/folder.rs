//! The launch's own folder below the work root: fresh at the start, gone at the end. A process that serves another
//! launch afterwards finds nothing of this one.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use runnerless_core::id::LaunchId;
use runnerless_engine::{PlaceError, WorkRoot};

/// A launch's folder.
#[derive(Debug)]
pub(crate) struct LaunchFolder {
    root: WorkRoot,
    path: PathBuf,
}

impl LaunchFolder {
    /// Makes it.
    pub(crate) fn make(work_root: &Path, launch: &LaunchId) -> Result<Self, PlaceError> {
        let path = work_root.join(launch.as_str());
        Ok(Self { root: WorkRoot::take(&path)?, path })
    }

    /// The engine's work root.
    pub(crate) fn root(&self) -> &WorkRoot {
        &self.root
    }

    /// Removes it with all below it. What cannot be removed is logged: it costs space, and with tenant isolation nobody
    /// comes after.
    pub(crate) fn remove(self) {
        let removed = fs::remove_dir_all(&self.path).or_else(|_| {
            // A job may have left folders that it may not write itself (Go's module cache does).
            unlock(&self.path).and_then(|()| fs::remove_dir_all(&self.path))
        });
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                let folder = self.path.display().to_string();
                tracing::warn!(target: "runnerless", service = "executor", folder, error = %error, "a launch's folder was not removed");
            }
            _ => {}
        }
    }
}

/// Makes every folder below `path` writable for its owner; links are not followed.
fn unlock(path: &Path) -> io::Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(0o700))?;
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            unlock(&entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_launchs_folder_is_removed_with_what_the_job_locked() {
        let work = tempfile::tempdir().unwrap();
        let folder = LaunchFolder::make(work.path(), &LaunchId::new("l-1")).unwrap();
        let locked = work.path().join("l-1/builds/module");
        fs::create_dir_all(&locked).unwrap();
        fs::write(locked.join("file"), "x").unwrap();
        fs::set_permissions(&locked, fs::Permissions::from_mode(0o500)).unwrap();
        unlock(&work.path().join("l-1")).unwrap();
        assert_eq!(fs::metadata(&locked).unwrap().permissions().mode() & 0o777, 0o700);
        folder.remove();
        assert_eq!(fs::read_dir(work.path()).unwrap().count(), 0);
    }
}
