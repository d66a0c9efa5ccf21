//! Writing an artifact's files as one: a zip, gzip members one after the other, or a file as it is.

use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::io::{self, Read as _, Write};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use flate2::{Compression, GzBuilder};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use zip::write::{FileOptions, FullFileOptions, StreamWriter};
use zip::{CompressionMethod, DateTime, ZipWriter};

use super::open::{Links, open_file, read_link};
use super::says::Says;

/// Bytes read at once.
const CHUNK: usize = 64 * 1024;
/// From this size on a zip needs wider fields, in bytes; a file may grow while it is read.
const LARGE: u64 = 3 << 30;
/// Info-ZIP's fields for the numbers of a file's user and group, and for its time.
const OWNER_FIELD: u16 = 0x7875;
const TIME_FIELD: u16 = 0x5455;

/// How an artifact's files become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Zip,
    Gzip,
    Raw,
}

/// GitLab asks for a format that this version does not write.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} format: unsupported archive format")]
pub(crate) struct UnknownFormat(pub(crate) String);

impl Format {
    /// Reads GitLab's word.
    pub(crate) fn new(word: &str) -> Result<Self, UnknownFormat> {
        match word {
            "" | "zip" => Ok(Self::Zip),
            "gzip" => Ok(Self::Gzip),
            "raw" => Ok(Self::Raw),
            other => Err(UnknownFormat(other.to_owned())),
        }
    }

    /// The file's name: the last part of what the job calls it, with the format's ending.
    pub(crate) fn filename(self, name: &str) -> String {
        let name = match name.trim_end_matches('/').rsplit('/').next().unwrap_or_default() {
            "" | "." => "default",
            last => last,
        };
        let ending = match self {
            Self::Zip => ".zip",
            Self::Gzip => ".gz",
            Self::Raw => "",
        };
        format!("{name}{ending}")
    }
}

/// How hard a zip is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    Stored,
    Deflated(i64),
}

impl Level {
    /// Reads `ARTIFACT_COMPRESSION_LEVEL`; `None` when it is no level.
    pub(crate) fn new(word: &str) -> Option<Self> {
        match word {
            "fastest" => Some(Self::Stored),
            "fast" => Some(Self::Deflated(1)),
            "" | "default" => Some(Self::Deflated(6)),
            "slow" => Some(Self::Deflated(7)),
            "slowest" => Some(Self::Deflated(9)),
            _ => None,
        }
    }
}

/// What is packed, and how.
#[derive(Debug)]
pub(crate) struct Pack {
    pub(crate) root: PathBuf,
    /// By their paths below `root`.
    pub(crate) files: BTreeMap<String, Metadata>,
    pub(crate) format: Format,
    pub(crate) level: Level,
    pub(crate) says: Says,
}

impl Pack {
    /// Writes everything.
    pub(crate) fn write(&self, out: impl Write) -> io::Result<()> {
        match self.format {
            Format::Zip => self.zip(out),
            Format::Gzip => self.gzip(out),
            Format::Raw => self.raw(out),
        }
    }

    fn raw(&self, mut out: impl Write) -> io::Result<()> {
        if self.files.len() > 1 {
            return Err(io::Error::other("only one file can be sent as raw"));
        }
        for path in self.files.keys() {
            let (mut file, _) = open_file(&self.root.join(path), Links::Followed).map_err(about(path))?;
            copy(&mut file, &mut out, path)?;
        }
        out.flush()
    }

    fn gzip(&self, mut out: impl Write) -> io::Result<()> {
        for (path, entry) in &self.files {
            if !entry.is_file() {
                return Err(io::Error::other(format!("the {path:?} is not a regular file")));
            }
            let (mut file, _) = match open_file(&self.root.join(path), Links::Refused) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    self.says.warn(&format!("File ignored: {path}: {error}"), &[]);
                    continue;
                }
                opened => opened.map_err(about(path))?,
            };
            let name = path.rsplit('/').next().unwrap_or(path);
            let mut member = GzBuilder::new()
                .filename(header_text(name))
                .comment(header_text(path))
                .mtime(seconds(entry))
                .write(&mut out, Compression::default());
            copy(&mut file, &mut member, path)?;
            member.finish()?;
        }
        out.flush()
    }

    fn zip(&self, out: impl Write) -> io::Result<()> {
        let mut zip = ZipWriter::new_stream(out);
        if let Some(path) = self.files.keys().find(|path| is_of_git(path)) {
            tell_of_git(&self.says, "archive", path);
        }
        for (path, entry) in &self.files {
            self.zip_entry(&mut zip, path, entry)?;
        }
        zip.finish()?.flush()
    }

    fn zip_entry<W: Write>(
        &self,
        zip: &mut ZipWriter<StreamWriter<W>>,
        path: &str,
        entry: &Metadata,
    ) -> io::Result<()> {
        let whole = self.root.join(path);
        let kind = entry.file_type();
        if kind.is_dir() {
            return Ok(zip.add_directory(format!("{path}/"), options(entry)?)?);
        }
        if kind.is_symlink() {
            let target = match read_link(&whole) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    self.says.warn(&format!("File ignored: {path}: {error}"), &[]);
                    return Ok(());
                }
                target => target.map_err(about(path))?,
            };
            return match target.to_str() {
                Some(target) => Ok(zip.add_symlink(path, target, options(entry)?)?),
                None => {
                    self.says.warn(&format!("File ignored: {path}: what the link points to is not valid UTF-8"), &[]);
                    Ok(())
                }
            };
        }
        if kind.is_fifo() || kind.is_socket() || kind.is_block_device() || kind.is_char_device() {
            self.says.warn(&format!("File ignored: {path}"), &[]);
            return Ok(());
        }
        let (mut file, _) = match open_file(&whole, Links::Refused) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.says.warn(&format!("File ignored: {path}: {error}"), &[]);
                return Ok(());
            }
            opened => opened.map_err(about(path))?,
        };
        let options = match self.level {
            Level::Stored => options(entry)?.compression_method(CompressionMethod::Stored),
            Level::Deflated(level) => {
                options(entry)?.compression_method(CompressionMethod::Deflated).compression_level(Some(level))
            }
        };
        zip.start_file(path, options.large_file(entry.len() >= LARGE))?;
        copy(&mut file, zip, path)
    }
}

/// What a zip says about a file beside its content: mode, time, user and group.
fn options(entry: &Metadata) -> io::Result<FullFileOptions<'static>> {
    // A version and two lengths before the numbers; a flag that says which time comes.
    let owner = [[1, 4].as_slice(), &entry.uid().to_le_bytes(), &[4], &entry.gid().to_le_bytes()].concat();
    let time = [[1].as_slice(), &seconds(entry).to_le_bytes()].concat();
    let mut options: FullFileOptions<'_> =
        FileOptions::default().unix_permissions(entry.mode() & 0o777).last_modified_time(dos_time(entry));
    options.add_extra_data(OWNER_FIELD, owner, false)?;
    options.add_extra_data(TIME_FIELD, time, false)?;
    Ok(options)
}

/// The time as zip's own field has it, in UTC; a time before 1980 is its beginning.
fn dos_time(entry: &Metadata) -> DateTime {
    let time = TimeZone::UTC.to_datetime(Timestamp::from_second(entry.mtime()).unwrap_or_default());
    let part = |number: i8| u8::try_from(number).unwrap_or_default();
    let year = u16::try_from(time.year()).unwrap_or_default();
    DateTime::from_date_and_time(
        year,
        part(time.month()),
        part(time.day()),
        part(time.hour()),
        part(time.minute()),
        part(time.second()),
    )
    .unwrap_or_default()
}

/// When the file was changed, as far as 32 bits can say it.
fn seconds(entry: &Metadata) -> u32 {
    u32::try_from(entry.mtime().max(0)).unwrap_or(u32::MAX)
}

fn copy(file: &mut File, out: &mut impl Write, path: &str) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    loop {
        match file.read(&mut buffer).map_err(about(path))? {
            0 => return Ok(()),
            read => out.write_all(&buffer[..read])?,
        }
    }
}

/// A name in a gzip header, which knows Latin letters only.
fn header_text(text: &str) -> String {
    if text.chars().all(|c| c.is_ascii() && c != '%' && c != '\0') {
        return text.to_owned();
    }
    let kept = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~$&+=:@".contains(&byte);
    let encoded: String = text
        .bytes()
        .map(|byte| if kept(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect();
    format!("e:{encoded}")
}

/// Whether a path is of git's own folder.
pub(crate) fn is_of_git(path: &str) -> bool {
    Path::new(path).components().next().is_some_and(|first| first.as_os_str() == ".git")
}

/// Says that git's own folder is among the files.
pub(crate) fn tell_of_git(says: &Says, what: &str, path: &str) {
    says.warn(&format!("Part of .git directory is on the list of files to {what}"), &[("path", path.to_owned())]);
    says.warn("This may introduce unexpected problems", &[]);
}

/// An error with the file that it is about.
fn about(path: &str) -> impl FnOnce(io::Error) -> io::Error {
    move |error| io::Error::new(error.kind(), format!("{path}: {error}"))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::io::Cursor;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use flate2::bufread::MultiGzDecoder;
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    use zip::ZipArchive;

    use super::*;
    use crate::log::Log;

    struct Bench {
        folder: tempfile::TempDir,
        log: Log,
    }

    impl Bench {
        fn new() -> Self {
            let log = Log::plain();
            Self { folder: tempfile::tempdir().unwrap(), log }
        }

        fn at(&self, path: &str) -> PathBuf {
            self.folder.path().join(path)
        }

        fn pack(&self, format: Format, level: Level, paths: &[&str]) -> io::Result<Vec<u8>> {
            let entry = |path: &&str| ((*path).to_owned(), fs::symlink_metadata(self.at(path)).unwrap());
            let files = paths.iter().map(entry).collect();
            let says = Says(self.log.clone());
            let mut out = Vec::new();
            Pack { root: self.folder.path().to_owned(), files, format, level, says }.write(&mut out).map(|()| out)
        }

        fn said(&self) -> String {
            String::from_utf8(self.log.part(0, 100_000)).unwrap()
        }
    }

    #[test]
    fn a_zip_has_folders_files_and_links_with_their_modes() {
        let bench = Bench::new();
        fs::create_dir(bench.at("out")).unwrap();
        fs::set_permissions(bench.at("out"), Permissions::from_mode(0o750)).unwrap();
        fs::write(bench.at("out/tool"), "#!/bin/sh\n".repeat(100)).unwrap();
        fs::set_permissions(bench.at("out/tool"), Permissions::from_mode(0o755)).unwrap();
        symlink("tool", bench.at("out/link")).unwrap();
        mknodat(CWD, bench.at("out/pipe"), FileType::Fifo, Mode::RUSR, 0).unwrap();
        fs::write(bench.at("ünï"), "x").unwrap();
        let paths = ["out", "out/link", "out/pipe", "out/tool", "ünï"];
        let bytes = bench.pack(Format::Zip, Level::Deflated(6), &paths).unwrap();
        let mut zip = ZipArchive::new(Cursor::new(bytes)).unwrap();
        let mut seen = Vec::new();
        for index in 0..zip.len() {
            let mut file = zip.by_index(index).unwrap();
            let mut content = String::new();
            file.read_to_string(&mut content).unwrap();
            seen.push((file.name().to_owned(), file.unix_mode().unwrap(), content));
        }
        let shell = "#!/bin/sh\n".repeat(100);
        assert_eq!(
            seen,
            [
                ("out/".to_owned(), 0o040_750, String::new()),
                ("out/link".to_owned(), 0o120_777, "tool".to_owned()),
                ("out/tool".to_owned(), 0o100_755, shell),
                ("ünï".to_owned(), 0o100_644, "x".to_owned()),
            ]
        );
        assert!(bench.said().contains("WARNING: File ignored: out/pipe"), "{}", bench.said());
    }

    #[test]
    fn a_zip_says_who_owned_a_file_and_when_it_was_changed() {
        let bench = Bench::new();
        fs::write(bench.at("f"), "x").unwrap();
        let entry = fs::metadata(bench.at("f")).unwrap();
        let bytes = bench.pack(Format::Zip, Level::Stored, &["f"]).unwrap();
        let mut zip = ZipArchive::new(Cursor::new(bytes)).unwrap();
        let extra = zip.by_index(0).unwrap().extra_data().unwrap().to_vec();
        let owner =
            [&[0x75, 0x78, 11, 0, 1, 4], &entry.uid().to_le_bytes()[..], &[4], &entry.gid().to_le_bytes()].concat();
        let time = [&[0x55, 0x54, 5, 0, 1], &seconds(&entry).to_le_bytes()[..]].concat();
        for field in [owner, time] {
            assert!(extra.windows(field.len()).any(|window| window == field), "{extra:?} lacks {field:?}");
        }
    }

    #[test]
    fn gzip_members_follow_each_other_and_carry_their_names() {
        let bench = Bench::new();
        fs::create_dir(bench.at("r")).unwrap();
        fs::write(bench.at("r/a.xml"), "first").unwrap();
        fs::write(bench.at("r/ü%.xml"), "second").unwrap();
        let bytes = bench.pack(Format::Gzip, Level::Deflated(6), &["r/a.xml", "r/ü%.xml"]).unwrap();
        let mut text = String::new();
        MultiGzDecoder::new(bytes.as_slice()).read_to_string(&mut text).unwrap();
        assert_eq!(text, "firstsecond");
        let has = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
        assert!(has("a.xml\0r/a.xml\0") && has("e:%C3%BC%25.xml\0e:r%2F%C3%BC%25.xml\0"));
        let error = bench.pack(Format::Gzip, Level::Deflated(6), &["r"]).unwrap_err();
        assert_eq!(error.to_string(), "the \"r\" is not a regular file");
    }

    #[test]
    fn raw_is_one_file_as_it_is() {
        let bench = Bench::new();
        fs::write(bench.at("a"), "one").unwrap();
        symlink("a", bench.at("b")).unwrap();
        assert_eq!(bench.pack(Format::Raw, Level::Stored, &["b"]).unwrap(), b"one");
        let error = bench.pack(Format::Raw, Level::Stored, &["a", "b"]).unwrap_err();
        assert_eq!(error.to_string(), "only one file can be sent as raw");
    }

    #[test]
    fn a_file_that_becomes_a_link_while_it_is_packed_is_not_followed() {
        let bench = Bench::new();
        fs::write(bench.at("f"), "x").unwrap();
        let files = BTreeMap::from([("f".to_owned(), fs::symlink_metadata(bench.at("f")).unwrap())]);
        fs::remove_file(bench.at("f")).unwrap();
        symlink("/etc/hostname", bench.at("f")).unwrap();
        for format in [Format::Zip, Format::Gzip] {
            let (root, says) = (bench.folder.path().to_owned(), Says(bench.log.clone()));
            let pack = Pack { root, files: files.clone(), format, level: Level::Stored, says };
            assert!(pack.write(Vec::new()).is_err(), "{format:?}");
        }
    }

    #[test]
    fn names_and_formats_are_those_of_the_official_runner() {
        for (format, name, filename) in [
            (Format::Zip, "artifacts", "artifacts.zip"),
            (Format::Zip, "", "default.zip"),
            (Format::Gzip, "a/b/junit.xml", "junit.xml.gz"),
            (Format::Raw, "gl-sast-report.json", "gl-sast-report.json"),
            (Format::Zip, "feature/x/", "x.zip"),
            (Format::Raw, ".", "default"),
        ] {
            assert_eq!(format.filename(name), filename, "{name}");
        }
        assert_eq!(Format::new("tarzstd"), Err(UnknownFormat("tarzstd".to_owned())));
        assert_eq!(Level::new("slowest"), Some(Level::Deflated(9)));
        assert_eq!(Level::new("quick"), None);
    }
}
