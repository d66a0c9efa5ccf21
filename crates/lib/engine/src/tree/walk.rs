//! Going through a tree one open folder at a time.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, chmod, fchmod, fstat, openat, statat, unlinkat};
use rustix::io::Errno;

/// How folders are opened: never through a link, never waiting, never handed on to a program.
pub(super) const FOLDER: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC).union(OFlags::NONBLOCK);
/// What the owner needs to list a folder and to remove what is in it.
const OWNERS: Mode = Mode::RWXU;

/// Which file of which file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Id {
    device: u64,
    inode: u64,
}

impl Id {
    fn of(stat: &Stat) -> Self {
        Self { device: stat.st_dev, inode: stat.st_ino }
    }
}

/// What becomes of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is removed, with all below it.
    Goes,
    /// It stays; a folder is entered all the same.
    Stays,
}

/// An entry of a folder.
#[derive(Debug)]
pub(super) struct Found<'a> {
    pub(super) folder: Id,
    pub(super) name: &'a CStr,
    pub(super) id: Id,
    pub(super) owner: u32,
    /// What becomes of the folder that it is in.
    pub(super) above: Fate,
}

/// A folder on the way down.
struct Level {
    id: Id,
    name: CString,
    fate: Fate,
    /// Folders in it that were not entered yet.
    folders: Vec<(CString, Fate)>,
}

/// A walk that judges every entry.
pub(super) struct Walk<J> {
    judge: J,
    /// The first thing that did not work.
    error: Option<io::Error>,
}

impl<J: FnMut(&Found<'_>) -> Fate> Walk<J> {
    pub(super) fn new(judge: J) -> Self {
        Self { judge, error: None }
    }

    /// Goes through all that is below the folder, which itself is left.
    ///
    /// The way back up is `..`, checked to be the folder that it was: nobody should move folders while we are in them.
    pub(super) fn through(&mut self, root: OwnedFd) -> io::Result<()> {
        let mut folder = root;
        let mut levels = vec![self.level(&folder, CString::default(), Fate::Stays)?];
        while let Some(level) = levels.last_mut() {
            if let Some((name, fate)) = level.folders.pop() {
                match open_folder(&folder, &*name, fate).and_then(|inner| Ok((self.level(&inner, name, fate)?, inner)))
                {
                    Ok((next, inner)) => {
                        levels.push(next);
                        folder = inner;
                    }
                    // What stays and cannot be entered is somebody else's.
                    Err(error) if fate == Fate::Goes => self.note(error),
                    Err(_) => {}
                }
                continue;
            }
            let done = levels.pop();
            let (Some(done), Some(above)) = (done, levels.last()) else { break };
            folder = openat(&folder, c"..", FOLDER, Mode::empty())?;
            if Id::of(&fstat(&folder)?) != above.id {
                return Err(io::Error::other("a folder was moved while it was being emptied"));
            }
            if done.fate == Fate::Goes {
                self.remove(&folder, &done.name, AtFlags::REMOVEDIR);
            }
        }
        Ok(())
    }

    /// The first thing that did not work.
    pub(super) fn finish(self) -> io::Result<()> {
        self.error.map_or(Ok(()), Err)
    }

    /// Judges a folder's entries: what goes and is no folder is removed at once.
    fn level(&mut self, folder: &OwnedFd, name: CString, fate: Fate) -> io::Result<Level> {
        let id = Id::of(&fstat(folder)?);
        let mut level = Level { id, name, fate, folders: Vec::new() };
        for entry in Dir::read_from(folder)? {
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let stat = match statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => stat,
                Err(Errno::NOENT) => continue,
                Err(errno) => {
                    self.note(errno.into());
                    continue;
                }
            };
            let found = Found { folder: id, name, id: Id::of(&stat), owner: stat.st_uid, above: fate };
            let verdict = (self.judge)(&found);
            if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                level.folders.push((name.to_owned(), verdict));
            } else if verdict == Fate::Goes {
                self.remove(folder, name, AtFlags::empty());
            }
        }
        Ok(level)
    }

    fn remove(&mut self, folder: &OwnedFd, name: &CStr, flags: AtFlags) {
        match unlinkat(folder, name, flags) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => self.note(errno.into()),
        }
    }

    fn note(&mut self, error: io::Error) {
        self.error.get_or_insert(error);
    }
}

/// Opens a folder. One that goes is made accessible to its owner first: a job may have locked itself out of it.
pub(super) fn open_folder<N: rustix::path::Arg + Copy>(folder: &OwnedFd, name: N, fate: Fate) -> io::Result<OwnedFd> {
    let opened = match openat(folder, name, FOLDER, Mode::empty()) {
        Err(Errno::ACCESS) if fate == Fate::Goes => {
            let handle = openat(folder, name, FOLDER.union(OFlags::PATH), Mode::empty())?;
            // The mode of a folder that may not be read can be set by a path only. This one leads to the open handle,
            // whatever the name leads to by now.
            chmod(format!("/proc/self/fd/{}", handle.as_raw_fd()), OWNERS)?;
            openat(&handle, c".", FOLDER, Mode::empty())?
        }
        other => other?,
    };
    if fate == Fate::Goes && !Mode::from_raw_mode(fstat(&opened)?.st_mode).contains(OWNERS) {
        // Where it is not ours to change, the removal below says so.
        let _ = fchmod(&opened, OWNERS);
    }
    Ok(opened)
}
