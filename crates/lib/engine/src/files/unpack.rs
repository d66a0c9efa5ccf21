//! Unpacking the archive of another job into the project's folder, and nowhere else.
//!
//! Nobody else is at work in the folder meanwhile: the job's own processes are not there yet. So what an archive's entry
//! finds is what the sources or earlier entries left, and is looked at right before it is used.

use std::fs::{self, DirBuilder, File, FileTimes, OpenOptions, Permissions};
use std::io::{self, BufReader, Read, Seek as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use rustix::fs::{Mode, OFlags, open};
use zip::ZipArchive;
use zip::extra_fields::ExtraField;
use zip::read::ZipFile;
use zip::result::ZipError;

use super::pack::{is_of_git, tell_of_git};
use super::says::Says;

/// Bytes written between two looks at whether to go on.
const CHUNK: usize = 64 * 1024;
/// The longest target of a link, in bytes: the system's own limit.
const LONGEST_TARGET: u64 = 4096;
/// What a file or folder is without a mode of its own.
const NO_MODE: u32 = 0o666;
const NO_FOLDER_MODE: u32 = 0o777;

/// The kinds of a Unix mode.
const KIND: u32 = 0o170_000;
const FOLDER: u32 = 0o040_000;
const LINK: u32 = 0o120_000;
const REGULAR: u32 = 0o100_000;

/// The archive was not unpacked, or not all of it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UnpackError {
    #[error("{0:?} format: unsupported archive format")]
    Format(&'static str),
    #[error("the archive cannot be read")]
    Archive(#[source] ZipError),
    #[error("the project's folder cannot be found")]
    Project(#[source] io::Error),
    #[error("{0}: leads out of the project's folder")]
    Outside(String),
    #[error("{path}: cannot be unpacked")]
    Entry { path: String, source: io::Error },
    #[error("given up")]
    GivenUp,
}

/// Unpacks an archive.
#[derive(Debug)]
pub(crate) struct Unpack<'a> {
    /// The project's folder, by its real path.
    root: PathBuf,
    says: &'a Says,
    given_up: &'a AtomicBool,
    /// Folders whose mode and time are set when nothing more is written to them.
    folders: Vec<(PathBuf, Manner)>,
    told_of_git: bool,
    told_of_manner: bool,
}

/// How an entry is to be when it is there.
#[derive(Clone, Copy, Debug)]
struct Manner {
    mode: u32,
    changed: Option<SystemTime>,
}

/// Unpacks what the file holds into `root`. `given_up` ends it early.
pub(crate) fn unpack(mut archive: File, root: &Path, says: &Says, given_up: &AtomicBool) -> Result<(), UnpackError> {
    let real = root.canonicalize().map_err(UnpackError::Project)?;
    if real != root {
        return Err(UnpackError::Outside(root.display().to_string()));
    }
    known_format(&mut archive)?;
    let mut archive = ZipArchive::new(BufReader::new(archive)).map_err(UnpackError::Archive)?;
    let mut work =
        Unpack { root: real, says, given_up, folders: Vec::new(), told_of_git: false, told_of_manner: false };
    for index in 0..archive.len() {
        work.entry(&mut archive.by_index(index).map_err(UnpackError::Archive)?)?;
    }
    work.finish_folders();
    Ok(())
}

/// Tells the formats that GitLab knows by their first bytes; what is none of the others is taken for a zip.
fn known_format(archive: &mut File) -> Result<(), UnpackError> {
    let mut magic = Vec::new();
    let read = Read::take(&mut *archive, 4).read_to_end(&mut magic).and_then(|_| archive.rewind());
    read.map_err(|error| UnpackError::Archive(error.into()))?;
    match magic.as_slice() {
        [0x1f, 0x8b, ..] => Err(UnpackError::Format("gzip")),
        [0x28, 0xb5, 0x2f, 0xfd] => Err(UnpackError::Format("tarzstd")),
        _ => Ok(()),
    }
}

impl Unpack<'_> {
    fn entry<R: Read>(&mut self, entry: &mut ZipFile<'_, R>) -> Result<(), UnpackError> {
        let name = entry.name_raw().to_vec();
        let shown = String::from_utf8_lossy(&name).into_owned();
        if !self.told_of_git && is_of_git(&shown) {
            self.told_of_git = true;
            tell_of_git(self.says, "extract", &shown);
        }
        let Some(path) = self.place(&name).map_err(|error| error.of(&shown))? else { return Ok(()) };
        let kind = kind(entry, &name);
        let manner = Manner { mode: mode(entry, kind), changed: changed(entry) };
        let done = match kind {
            FOLDER => self.folder(&path, manner),
            LINK => link(entry, &path),
            REGULAR => return self.file(entry, &path, manner, &shown),
            _ => {
                self.says.warn(&format!("File ignored: {shown:?}"), &[]);
                Ok(())
            }
        };
        done.map_err(|source| UnpackError::Entry { path: shown, source })
    }

    /// Where an entry belongs, its folders made. `None` for the project's folder itself.
    fn place(&self, name: &[u8]) -> Result<Option<PathBuf>, Misplaced> {
        if name.starts_with(b"/") {
            return Err(Misplaced::Outside);
        }
        let parts = name.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".");
        let parts: Vec<&[u8]> = parts.collect();
        if parts.contains(&b"..".as_slice()) {
            return Err(Misplaced::Outside);
        }
        let Some((last, folders)) = parts.split_last() else { return Ok(None) };
        let mut place = self.root.clone();
        for folder in folders {
            place.push(std::ffi::OsStr::from_bytes(folder));
            place = self.enter(place)?;
        }
        place.push(std::ffi::OsStr::from_bytes(last));
        Ok(Some(place))
    }

    /// A folder on the way, made where it is missing. A link is followed as long as it stays inside.
    fn enter(&self, folder: PathBuf) -> Result<PathBuf, Misplaced> {
        match fs::symlink_metadata(&folder) {
            Ok(entry) if entry.is_dir() => Ok(folder),
            Ok(entry) if entry.is_symlink() => {
                let real = folder.canonicalize()?;
                if real.starts_with(&self.root) { Ok(real) } else { Err(Misplaced::Outside) }
            }
            Ok(_) => Err(io::Error::from(io::ErrorKind::NotADirectory).into()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::create_dir(&folder)?;
                Ok(folder)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn folder(&mut self, path: &Path, manner: Manner) -> io::Result<()> {
        match DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                // A link to a folder is as good as one, and stays as it is.
                if !fs::metadata(path)?.is_dir() {
                    return Err(io::ErrorKind::NotADirectory.into());
                }
            }
            made => made?,
        }
        self.folders.push((path.to_owned(), manner));
        Ok(())
    }

    fn file<R: Read>(
        &mut self,
        entry: &mut ZipFile<'_, R>,
        path: &Path,
        manner: Manner,
        shown: &str,
    ) -> Result<(), UnpackError> {
        let failed = |source| UnpackError::Entry { path: shown.to_owned(), source };
        remove(path).map_err(failed)?;
        let options = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        let mut file = options.map_err(failed)?;
        let mut buffer = vec![0; CHUNK];
        loop {
            if self.given_up.load(Ordering::Relaxed) {
                return Err(UnpackError::GivenUp);
            }
            match entry.read(&mut buffer).map_err(failed)? {
                0 => break,
                read => file.write_all(&buffer[..read]).map_err(failed)?,
            }
        }
        self.settle(&file, manner, shown);
        Ok(())
    }

    /// Modes and times of the folders, the inner ones first: one that may not be entered hides what is below it.
    fn finish_folders(&mut self) {
        for (path, manner) in std::mem::take(&mut self.folders).into_iter().rev() {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            // Not there as a folder of its own: a link, which stays as it is.
            let Ok(folder) = open(&path, flags, Mode::empty()) else { continue };
            self.settle(&folder.into(), manner, &path.display().to_string());
        }
    }

    /// Gives an entry its mode and its time. That it cannot have them is said once and harms nothing else.
    fn settle(&mut self, file: &File, manner: Manner, shown: &str) {
        let times = manner.changed.map(|at| FileTimes::new().set_modified(at).set_accessed(SystemTime::now()));
        let settled = times.map_or(Ok(()), |times| file.set_times(times));
        let settled = settled.and_then(|()| file.set_permissions(Permissions::from_mode(manner.mode)));
        if let (Err(error), false) = (settled, self.told_of_manner) {
            self.told_of_manner = true;
            self.says.warn(&format!("{shown}: {error} (suppressing repeats)"), &[]);
        }
    }
}

/// Why an entry has no place.
enum Misplaced {
    Outside,
    Io(io::Error),
}

impl From<io::Error> for Misplaced {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Misplaced {
    fn of(self, shown: &str) -> UnpackError {
        match self {
            Self::Outside => UnpackError::Outside(shown.to_owned()),
            Self::Io(source) => UnpackError::Entry { path: shown.to_owned(), source },
        }
    }
}

/// What an entry is: by its Unix mode, else by the end of its name.
fn kind<R: Read>(entry: &ZipFile<'_, R>, name: &[u8]) -> u32 {
    match entry.unix_mode().map(|mode| mode & KIND) {
        Some(kind) if kind != 0 => kind,
        _ if name.ends_with(b"/") => FOLDER,
        _ => REGULAR,
    }
}

fn mode<R: Read>(entry: &ZipFile<'_, R>, kind: u32) -> u32 {
    let otherwise = if kind == FOLDER { NO_FOLDER_MODE } else { NO_MODE };
    entry.unix_mode().map_or(otherwise, |mode| mode & 0o777)
}

fn changed<R: Read>(entry: &ZipFile<'_, R>) -> Option<SystemTime> {
    let seconds = entry.extra_data_fields().find_map(|field| match field {
        ExtraField::ExtendedTimestamp(times) => times.mod_time(),
        _ => None,
    });
    seconds.map(|seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.into()))
}

/// A link, whatever it points to: who goes through it is looked at then.
fn link<R: Read>(entry: &mut ZipFile<'_, R>, path: &Path) -> io::Result<()> {
    let mut target = Vec::new();
    entry.take(LONGEST_TARGET).read_to_end(&mut target)?;
    remove(path)?;
    symlink(std::ffi::OsStr::from_bytes(&target), path)
}

/// Makes room: a file or a link goes, a folder only when it is empty.
fn remove(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(entry) if entry.is_dir() => fs::remove_dir(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    use super::*;
    use crate::log::Log;

    enum Item {
        File(&'static str, &'static str, u32),
        Folder(&'static str, u32),
        Link(&'static str, &'static str),
    }
    use Item::{File as F, Folder as D, Link as L};

    struct Bench {
        outer: tempfile::TempDir,
        log: Log,
    }

    impl Bench {
        fn new() -> Self {
            let log = Log::plain();
            let outer = tempfile::tempdir().unwrap();
            fs::create_dir(outer.path().join("project")).unwrap();
            Self { outer, log }
        }

        fn root(&self) -> PathBuf {
            self.outer.path().canonicalize().unwrap().join("project")
        }

        fn unpack(&self, items: &[Item]) -> Result<(), UnpackError> {
            let mut zip = ZipWriter::new(tempfile::tempfile().unwrap());
            for item in items {
                let options = SimpleFileOptions::default();
                match item {
                    F(name, content, mode) => {
                        zip.start_file(*name, options.unix_permissions(*mode)).unwrap();
                        zip.write_all(content.as_bytes()).unwrap();
                    }
                    D(name, mode) => zip.add_directory(*name, options.unix_permissions(*mode)).unwrap(),
                    L(name, target) => zip.add_symlink(*name, *target, options).unwrap(),
                }
            }
            self.unpack_file(zip.finish().unwrap())
        }

        fn unpack_file(&self, mut file: File) -> Result<(), UnpackError> {
            file.rewind().unwrap();
            unpack(file, &self.root(), &Says(self.log.clone()), &AtomicBool::new(false))
        }

        fn read(&self, path: &str) -> String {
            fs::read_to_string(self.root().join(path)).unwrap()
        }

        fn outside(&self) -> Vec<String> {
            let entries = fs::read_dir(self.outer.path()).unwrap();
            entries
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .filter(|name| name != "project")
                .collect()
        }
    }

    #[test]
    fn files_folders_links_and_modes_come_back() {
        let bench = Bench::new();
        bench
            .unpack(&[D("out/", 0o555), F("out/tool", "run", 0o755), L("out/link", "tool"), F("a/b/c", "deep", 0o640)])
            .unwrap();
        let mode = |path: &str| fs::symlink_metadata(bench.root().join(path)).unwrap().mode() & 0o7777;
        assert_eq!((mode("out"), mode("out/tool"), mode("a/b/c")), (0o555, 0o755, 0o640));
        assert_eq!((bench.read("out/link").as_str(), bench.read("a/b/c").as_str()), ("run", "deep"));
    }

    #[test]
    fn what_is_there_is_replaced_and_a_link_in_its_place_is_not_written_through() {
        let bench = Bench::new();
        let victim = bench.outer.path().join("victim");
        fs::write(&victim, "untouched").unwrap();
        symlink(&victim, bench.root().join("f")).unwrap();
        fs::write(bench.root().join("g"), "old and longer").unwrap();
        bench.unpack(&[F("f", "new", 0o644), F("g", "new", 0o644)]).unwrap();
        assert_eq!((bench.read("f"), bench.read("g")), ("new".to_owned(), "new".to_owned()));
        assert_eq!(fs::read_to_string(victim).unwrap(), "untouched");
    }

    #[test]
    fn nothing_is_written_outside() {
        let out = |error| matches!(error, UnpackError::Outside(_));
        for items in [
            [F("../evil", "x", 0o644)],
            [F("a/../../evil", "x", 0o644)],
            [F("/evil", "x", 0o644)],
            [D("../evil/", 0o755)],
            [L("../evil", "x")],
        ] {
            let bench = Bench::new();
            assert!(out(bench.unpack(&items).unwrap_err()));
            assert_eq!(bench.outside(), [""; 0]);
        }
        for target in ["..", "/tmp", "inner/../.."] {
            let bench = Bench::new();
            let items = [D("inner/", 0o755), L("way", target), F("way/evil", "x", 0o644)];
            assert!(out(bench.unpack(&items).unwrap_err()), "{target}");
            assert_eq!(bench.outside(), [""; 0]);
        }
        let bench = Bench::new();
        symlink(bench.outer.path(), bench.root().join("way")).unwrap();
        assert!(out(bench.unpack(&[D("way/new/", 0o755)]).unwrap_err()));
        assert_eq!(bench.outside(), [""; 0]);
    }

    #[test]
    fn a_link_that_stays_inside_is_a_way_like_others() {
        let bench = Bench::new();
        bench.unpack(&[D("lib64/", 0o755), L("lib", "lib64"), F("lib/x", "inside", 0o644)]).unwrap();
        assert_eq!(bench.read("lib64/x"), "inside");
    }

    #[test]
    fn a_mode_never_goes_through_a_link() {
        let bench = Bench::new();
        fs::create_dir(bench.outer.path().join("other")).unwrap();
        let before = fs::metadata(bench.outer.path().join("other")).unwrap().mode();
        symlink(bench.outer.path().join("other"), bench.root().join("way")).unwrap();
        bench.unpack(&[D("way/", 0o000)]).unwrap();
        assert_eq!(fs::metadata(bench.outer.path().join("other")).unwrap().mode(), before);
    }

    #[test]
    fn a_broken_archive_and_other_formats_are_named() {
        let bench = Bench::new();
        let with = |bytes: &[u8]| {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(bytes).unwrap();
            bench.unpack_file(file).unwrap_err()
        };
        assert!(matches!(with(b"nothing"), UnpackError::Archive(_)));
        assert!(matches!(with(b""), UnpackError::Archive(_)));
        assert!(matches!(with(b"\x1f\x8b\x08\0"), UnpackError::Format("gzip")));
        assert!(matches!(with(b"\x28\xb5\x2f\xfdxx"), UnpackError::Format("tarzstd")));
    }

    #[test]
    fn content_that_is_not_what_its_sum_says_is_a_failure() {
        let bench = Bench::new();
        let mut zip = ZipWriter::new(std::io::Cursor::new(Vec::new()));
        zip.start_file("f", SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored)).unwrap();
        zip.write_all(b"content").unwrap();
        let mut bytes = zip.finish().unwrap().into_inner();
        let at = bytes.windows(7).position(|window| window == b"content").unwrap();
        bytes[at] = b'C';
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        assert!(matches!(bench.unpack_file(file).unwrap_err(), UnpackError::Entry { path, .. } if path == "f"));
    }
}
