//! Reading what a job left, with no more rights than the job had.
//!
//! The official runner reads a job's files in a process of the job's own. Here the runner itself does, which has the job's
//! user and so the job's rights, but for one thing: below `/proc` each process finds itself, and this one holds what no
//! job may see. So nothing of that file system is read, whatever link led there, and a link is never followed in a
//! file's place.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, PROC_SUPER_MAGIC, Stat, fstat, fstatfs, open, readlinkat};

/// Whether a link in the file's own place is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Links {
    Refused,
    Followed,
}

/// Opens a regular file for reading. Never waits, whatever the name stands for by now.
pub(crate) fn open_file(path: &Path, links: Links) -> io::Result<(File, Stat)> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let follow = if links == Links::Refused { OFlags::NOFOLLOW } else { OFlags::empty() };
    let file = open(path, flags | follow, Mode::empty())?;
    refuse_proc(&file)?;
    let stat = fstat(&file)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    Ok((file.into(), stat))
}

/// What a link points to.
pub(crate) fn read_link(path: &Path) -> io::Result<OsString> {
    let link = open(path, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    refuse_proc(&link)?;
    let target = readlinkat(&link, c"", Vec::new())?;
    Ok(OsString::from_vec(target.into_bytes()))
}

fn refuse_proc(file: impl AsFd) -> io::Result<()> {
    if fstatfs(file)?.f_type == PROC_SUPER_MAGIC {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "what is below /proc is not read"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Read as _;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn no_link_leads_into_this_very_process() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        symlink("/proc/self", at("way")).unwrap();
        symlink("/proc/self/environ", at("direct")).unwrap();
        symlink("direct", at("twice")).unwrap();
        for (name, links) in [("way/environ", Links::Refused), ("direct", Links::Followed), ("twice", Links::Followed)]
        {
            let refused = open_file(&at(name), links).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied, "{name}");
        }
        assert_eq!(read_link(&at("way/exe")).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        assert_eq!(read_link(&at("twice")).unwrap(), "direct");
    }

    #[test]
    fn a_file_is_read_and_what_is_none_is_refused_without_waiting() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("file"), "text").unwrap();
        symlink("file", at("link")).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, at("fifo"), FileType::Fifo, Mode::RUSR, 0).unwrap();
        let mut text = String::new();
        open_file(&at("file"), Links::Refused).unwrap().0.read_to_string(&mut text).unwrap();
        assert_eq!(text, "text");
        assert!(open_file(&at("link"), Links::Followed).is_ok());
        for name in ["link", "fifo", "."] {
            assert!(open_file(&at(name), Links::Refused).is_err(), "{name}");
        }
    }
}
