//! The state folder: one supervisor at a time, clean at its start, without secrets and temporary files at its end.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;

use rustix::fs::FlockOperation;

use super::SuperviseError;
use crate::layout::Layout;

/// Takes the folder for as long as the returned file is open.
pub(super) fn take(layout: &Layout) -> Result<File, SuperviseError> {
    let path = layout.at("stack.lock");
    let file = File::create(&path).map_err(|source| SuperviseError::File { path, source })?;
    rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)
        .map_err(|_| SuperviseError::Taken(layout.state().to_owned()))?;
    Ok(file)
}

/// Removes what an earlier stack left, and nothing else: the folder may be one that its owner uses for more.
pub(super) fn clear(layout: &Layout) -> Result<(), SuperviseError> {
    for path in temporary(layout).into_iter().chain([layout.calls(), layout.at("log"), layout.at("jobs")]) {
        remove(&path).map_err(|source| SuperviseError::File { path, source })?;
    }
    for path in [layout.tmp(), layout.at("home"), layout.at("log"), layout.at("sim")] {
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&path);
        made.map_err(|source| SuperviseError::File { path, source })?;
    }
    Ok(())
}

/// Leaves what tells about the run (logs, the witness's record) and removes the rest. What cannot be removed is found
/// by the check for leftovers.
pub(super) fn leave(layout: &Layout) {
    for path in temporary(layout) {
        let _ = remove(&path);
    }
}

fn temporary(layout: &Layout) -> [PathBuf; 7] {
    [
        layout.record(),
        layout.stack_env(),
        layout.at("scopes.json"),
        layout.at("groups.json"),
        layout.tmp(),
        layout.at("home"),
        layout.at("sim"),
    ]
}

fn remove(path: &std::path::Path) -> io::Result<()> {
    let gone = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match gone {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
