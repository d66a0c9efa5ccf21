//! A job that is run by hand: nobody records it, and its caches are files below the work folder.

use std::path::{Path, PathBuf};

use runnerless_engine::{BindRefused, CachePlace, CacheUnknown, CacheUse, Host, JobIds, NamedCaches};
use runnerless_gitlab::protocol::Secret;

/// The folder of all caches, below the work folder.
const CACHES: &str = "cache";
/// What the official runner calls each.
const ARCHIVE: &str = "cache.zip";

/// See the module.
#[derive(Debug)]
pub(crate) struct ByHand {
    /// The work folder's real path.
    pub(crate) work: PathBuf,
}

impl ByHand {
    /// `<work>/cache/project-<id>/<key>/cache.zip`. A job that put a link on the way leads nobody elsewhere.
    fn archive(&self, job: &JobIds, key: &str) -> Result<PathBuf, CacheUnknown> {
        let Some(project) = job.project_id else {
            return Err(CacheUnknown("GitLab's description of the job names no project".to_owned()));
        };
        let folder = self.work.join(CACHES).join(format!("project-{project}")).join(key);
        if !self.is_inside(&folder) {
            return Err(CacheUnknown(format!("{}: leads out of the work folder", folder.display())));
        }
        Ok(folder.join(ARCHIVE))
    }

    /// Whether the part of the path that is there is below the work folder; what is not there yet cannot lead elsewhere.
    fn is_inside(&self, path: &Path) -> bool {
        let there = path.ancestors().find(|part| part.symlink_metadata().is_ok());
        there.and_then(|part| part.canonicalize().ok()).is_some_and(|real| real.starts_with(&self.work))
    }
}

impl Host for ByHand {
    async fn bind(&self, _job: &JobIds, _token: &Secret, _caches: &NamedCaches) -> Result<(), BindRefused> {
        Ok(())
    }

    async fn unbind(&self, _job: &JobIds) {}

    async fn accepted(&self, _job: &JobIds) {}

    async fn cache(&self, job: &JobIds, key: &str, _what: CacheUse) -> Result<CachePlace, CacheUnknown> {
        self.archive(job, key).map(CachePlace::File)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn caches_are_below_the_work_folder_by_project_and_key() {
        let folder = tempfile::tempdir().unwrap();
        let work = folder.path().canonicalize().unwrap();
        let host = ByHand { work: work.clone() };
        let job = JobIds { project_id: Some(380), ..JobIds::default() };
        assert_eq!(host.archive(&job, "deps/main").unwrap(), work.join("cache/project-380/deps/main/cache.zip"));
        assert!(host.archive(&JobIds::default(), "deps").is_err());
    }

    #[test]
    fn a_link_on_the_way_leads_nobody_elsewhere() {
        let (folder, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let work = folder.path().canonicalize().unwrap();
        let host = ByHand { work: work.clone() };
        let job = JobIds { project_id: Some(380), ..JobIds::default() };
        fs::create_dir_all(work.join("cache/project-380")).unwrap();
        symlink(outside.path(), work.join("cache/project-380/away")).unwrap();
        symlink("/nowhere", work.join("cache/project-380/dangling")).unwrap();
        for key in ["away", "away/further", "dangling", "dangling/further"] {
            assert!(host.archive(&job, key).unwrap_err().0.contains("leads out of the work folder"), "{key}");
        }
        assert!(host.archive(&job, "here").is_ok());
    }
}
