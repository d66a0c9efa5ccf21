//! What was in a folder at one time, and removing what came after.

use std::collections::HashSet;
use std::ffi::CString;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, open};
use rustix::process::getuid;

use super::walk::{FOLDER, Fate, Found, Id, Walk};

/// A folder that may be scrubbed: absolute, not the root of the file system, and no link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScrubRoot(PathBuf);

/// A path that is not to be scrubbed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{path}: {why}")]
pub struct NoScrubRoot {
    path: String,
    why: &'static str,
}

impl ScrubRoot {
    /// Takes a path. Whether it is a folder or nothing is seen when it is scrubbed; whether it is a link is seen then,
    /// too.
    ///
    /// # Errors
    /// It is relative, the root of the file system or a home, has `..` in it, or is a link.
    pub fn new(path: &Path) -> Result<Self, NoScrubRoot> {
        let refuse = |why| Err(NoScrubRoot { path: path.display().to_string(), why });
        if !path.is_absolute() {
            return refuse("a folder to scrub must be an absolute path");
        }
        let plain = |part| matches!(part, std::path::Component::Normal(_) | std::path::Component::RootDir);
        if !path.components().all(plain) || path.components().count() < 2 {
            return refuse("a folder to scrub must not be / or lead through ..");
        }
        if fs::symlink_metadata(path).is_ok_and(|meta| meta.is_symlink()) {
            return refuse("a folder to scrub must not be a link");
        }
        Ok(Self(path.to_owned()))
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

/// An entry, by the folder that it is in, its name there, and which file it is.
type Entry = (Id, CString, Id);

/// What was in some folders when the snapshot was taken.
pub struct Snapshot {
    roots: Vec<ScrubRoot>,
    entries: HashSet<Entry>,
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot").field("roots", &self.roots).field("entries", &self.entries.len()).finish()
    }
}

/// What could not be scrubbed.
#[derive(Debug, thiserror::Error)]
#[error("{root} cannot be scrubbed")]
pub struct ScrubError {
    /// Below which folder.
    pub root: String,
    /// The first trouble.
    #[source]
    pub source: io::Error,
}

impl Snapshot {
    /// One by which everything in the folders is new.
    #[must_use]
    pub fn of_nothing(roots: Vec<ScrubRoot>) -> Self {
        Self { roots, entries: HashSet::new() }
    }

    /// Looks at what is in the folders now. A folder that is not there has nothing in it, and in one that this user may
    /// not even list it cannot leave anything: such a one is left out from here on.
    ///
    /// # Errors
    /// A folder that is there and cannot be read.
    pub fn take(roots: Vec<ScrubRoot>) -> Result<Self, ScrubError> {
        let mut entries = HashSet::new();
        let mut kept = Vec::new();
        for root in roots {
            let note = |found: &Found<'_>| {
                entries.insert((found.folder, found.name.to_owned(), found.id));
                Fate::Stays
            };
            match walk(&root, note) {
                Ok(()) => kept.push(root),
                Err(error) if error.source.kind() == io::ErrorKind::PermissionDenied => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Self { roots: kept, entries })
    }

    /// Removes what belongs to this process's user and was not there: new files and folders, wherever below the roots
    /// they are. What was there stays, also when it was changed since.
    ///
    /// # Errors
    /// The first thing that could not be removed; everything else is gone.
    pub fn restore(&self) -> Result<(), ScrubError> {
        let user = getuid().as_raw();
        let judge = |found: &Found<'_>| {
            let known = || self.entries.contains(&(found.folder, found.name.to_owned(), found.id));
            if found.above == Fate::Goes || (found.owner == user && !known()) { Fate::Goes } else { Fate::Stays }
        };
        let mut first = None;
        for root in &self.roots {
            first = first.or(walk(root, judge).err());
        }
        first.map_or(Ok(()), Err)
    }
}

fn walk(root: &ScrubRoot, judge: impl FnMut(&Found<'_>) -> Fate) -> Result<(), ScrubError> {
    let failed = |source: io::Error| ScrubError { root: root.0.display().to_string(), source };
    let folder = match open(&root.0, FOLDER, Mode::empty()) {
        Ok(folder) => folder,
        Err(rustix::io::Errno::NOENT) => return Ok(()),
        Err(errno) => return Err(failed(errno.into())),
    };
    let mut walk = Walk::new(judge);
    walk.through(folder).map_err(failed)?;
    walk.finish().map_err(failed)
}
