//! The launch's own folder below the work root: fresh at the start, gone at the end. A process that serves another
//! launch afterwards finds nothing of this one.

use std::path::{Path, PathBuf};

use runnerless_core::id::LaunchId;
use runnerless_engine::{PlaceError, WorkRoot, remove_tree};

/// A launch's folder.
#[derive(Debug)]
pub(crate) struct LaunchFolder {
    root: WorkRoot,
    path: PathBuf,
}

impl LaunchFolder {
    /// Makes it. The work root must not be a link.
    pub(crate) fn make(work_root: &Path, launch: &LaunchId) -> Result<Self, PlaceError> {
        if work_root.symlink_metadata().is_ok_and(|meta| meta.is_symlink()) {
            // An earlier job of this environment may have put it there.
            return Err(PlaceError::Outside(work_root.to_owned()));
        }
        let path = work_root.join(launch.as_str());
        Ok(Self { root: WorkRoot::take(&path)?, path })
    }

    /// The engine's work root.
    pub(crate) fn root(&self) -> &WorkRoot {
        &self.root
    }

    /// Removes it with all below it. What cannot be removed is logged: it costs space. With tenant isolation nobody comes
    /// after; without it the next launch does not begin before everything is scrubbed.
    pub(crate) fn remove(self) {
        if let Err(error) = remove_tree(&self.path) {
            let folder = self.path.display().to_string();
            tracing::warn!(target: "runnerless", service = "executor", folder, error = %error, "a launch's folder was not removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_launchs_folder_is_removed_with_what_the_job_locked() {
        let work = tempfile::tempdir().unwrap();
        let folder = LaunchFolder::make(work.path(), &LaunchId::new("l-1")).unwrap();
        let locked = work.path().join("l-1/builds/module");
        fs::create_dir_all(&locked).unwrap();
        fs::write(locked.join("file"), "x").unwrap();
        fs::set_permissions(&locked, fs::Permissions::from_mode(0o500)).unwrap();
        folder.remove();
        assert_eq!(fs::read_dir(work.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_work_root_that_a_job_replaced_by_a_link_is_refused() {
        let (work, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let root = work.path().join("root");
        std::os::unix::fs::symlink(outside.path(), &root).unwrap();
        assert!(matches!(LaunchFolder::make(&root, &LaunchId::new("l-1")), Err(PlaceError::Outside(_))));
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    }
}
