//! Folders that a job wrote: removing them whole, and removing what is new in them.
//!
//! Whatever a job left is hostile: links, folders that their owner may not enter, trees deeper than a path can be long.
//! So names are always one step long and relative to an open folder, links are never followed, and one folder is open
//! at a time, however deep the tree is.

mod snapshot;
mod walk;

use std::io;
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, open, statat, unlinkat};
use rustix::io::Errno;

pub use snapshot::{NoScrubRoot, ScrubError, ScrubRoot, Snapshot};
use walk::{FOLDER, Fate, Walk, open_folder};

/// Removes a file, a link (not what it points to) or a folder with all below it. Nothing there is fine.
///
/// The path to the entry itself is followed as the system follows it: it is ours.
///
/// # Errors
/// The first thing that could not be removed; everything else is gone.
pub fn remove_tree(path: &Path) -> io::Result<()> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the path names no entry of a folder"));
    };
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let folder = match open(folder, FOLDER.difference(OFlags::NOFOLLOW), Mode::empty()) {
        Ok(folder) => folder,
        Err(Errno::NOENT) => return Ok(()),
        Err(errno) => return Err(errno.into()),
    };
    let kind = match statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => FileType::from_raw_mode(stat.st_mode),
        Err(Errno::NOENT) => return Ok(()),
        Err(errno) => return Err(errno.into()),
    };
    if kind != FileType::Directory {
        return Ok(unlinkat(&folder, name, AtFlags::empty())?);
    }
    let mut walk = Walk::new(|_| Fate::Goes);
    walk.through(open_folder(&folder, name, Fate::Goes)?)?;
    let emptied = walk.finish();
    unlinkat(&folder, name, AtFlags::REMOVEDIR).map_err(io::Error::from).or_else(|error| emptied.and(Err(error)))
}

/// Makes every folder on the way from `root` down to `path` accessible to its owner, as far as there are folders: a job
/// may have locked them. A link on the way ends it.
///
/// # Errors
/// A folder that cannot be opened all the same.
pub(crate) fn unlock_way(root: &Path, path: &Path) -> io::Result<()> {
    let Ok(steps) = path.strip_prefix(root) else { return Ok(()) };
    let mut folder = open(root, FOLDER, Mode::empty())?;
    for step in steps {
        folder = match open_folder(&folder, step, Fate::Goes) {
            Ok(inner) => inner,
            Err(error) => {
                let ended = matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
                    || error.raw_os_error() == Some(Errno::LOOP.raw_os_error());
                return if ended { Ok(()) } else { Err(error) };
            }
        };
    }
    Ok(())
}

#[cfg(test)]
mod tests;
