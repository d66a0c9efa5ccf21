//! A job's log: a file, its length and checksum, and the search for the script's first output.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// One log. Only the file holds its bytes.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct JobLog {
    path: PathBuf,
    length: u64,
    #[serde(skip)]
    checksum: crc32fast::Hasher,
    #[serde(skip)]
    search: OutputSearch,
}

/// A log of an earlier process cannot be continued.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The file cannot be read.
    #[error("the log {} cannot be read", .0.display())]
    Read(PathBuf, #[source] io::Error),
    /// Bytes are missing.
    #[error("the log {} has lost its end: it should have {wanted} bytes", .path.display())]
    Short {
        /// The file.
        path: PathBuf,
        /// How long it was.
        wanted: u64,
    },
}

impl JobLog {
    /// An empty log at that path; the file appears when a runner gets the job.
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, length: 0, checksum: crc32fast::Hasher::new(), search: OutputSearch::default() }
    }

    /// Where the bytes are.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Their number.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// CRC32 of all of them, as `output.checksum` writes it.
    pub(crate) fn checksum(&self) -> String {
        format!("crc32:{:08x}", self.checksum.clone().finalize())
    }

    /// Makes the empty file, for readers who come before the first bytes; what an earlier run without this job left
    /// there is dropped. A failure shows when bytes come.
    pub(crate) fn create(&self) {
        if let Some(folder) = self.path.parent() {
            let _ = std::fs::create_dir_all(folder);
        }
        let _ =
            OpenOptions::new().create(true).append(true).open(&self.path).and_then(|file| file.set_len(self.length));
    }

    /// Goes on with the file of an earlier process: counts its bytes again. What is beyond the remembered length was
    /// never acknowledged, and is dropped.
    ///
    /// # Errors
    /// When bytes are missing.
    pub(crate) fn reopen(&mut self) -> Result<(), LogError> {
        if self.length == 0 {
            return Ok(());
        }
        let unreadable = |error| LogError::Read(self.path.clone(), error);
        let file = OpenOptions::new().read(true).write(true).open(&self.path).map_err(unreadable)?;
        let found = file.metadata().map_err(unreadable)?.len();
        if found < self.length {
            return Err(LogError::Short { path: self.path.clone(), wanted: self.length });
        }
        file.set_len(self.length).map_err(unreadable)?;
        let bytes = self.read().map_err(unreadable)?;
        self.checksum.update(&bytes);
        self.search.feed(&bytes);
        Ok(())
    }

    /// Adds bytes. True when the script's first output is among them.
    ///
    /// # Errors
    /// When the file cannot be written; nothing counts as stored then.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> io::Result<bool> {
        if let Some(folder) = self.path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        OpenOptions::new().create(true).append(true).open(&self.path)?.write_all(bytes)?;
        self.length += u64::try_from(bytes.len()).unwrap_or(0);
        self.checksum.update(bytes);
        Ok(self.search.feed(bytes))
    }

    /// Forgets all bytes from `length` on.
    ///
    /// # Errors
    /// When the file cannot be changed.
    pub(crate) fn truncate(&mut self, length: u64) -> io::Result<()> {
        if length >= self.length {
            return Ok(());
        }
        OpenOptions::new().write(true).open(&self.path)?.set_len(length)?;
        self.length = length;
        self.checksum = crc32fast::Hasher::new();
        let kept = self.read()?;
        self.checksum.update(&kept);
        Ok(())
    }

    /// All bytes.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(crate) fn read(&self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        if self.length > 0 {
            let mut file = File::open(&self.path)?;
            file.seek(SeekFrom::Start(0))?;
            file.take(self.length).read_to_end(&mut bytes)?;
        }
        Ok(bytes)
    }
}

/// What begins the script's section, between the time and the rest of the line.
const MARK: &[u8] = b":step_script";
/// How much of the end is kept, for a mark that two pieces share.
const TAIL: usize = 64;

/// Finds the first byte after the header line of `section_start:<time>:step_script`.
///
/// With time stamps the header is a line of its own, as a continuation of the marker's line; without them it follows the
/// marker at once. In both cases it is the first line with visible text after the mark.
#[derive(Debug, Default)]
enum OutputSearch {
    /// Nothing yet; the last bytes.
    #[default]
    Start,
    Before(Vec<u8>),
    /// The mark was seen; what follows it so far.
    Header(Vec<u8>),
    Found,
}

impl OutputSearch {
    fn feed(&mut self, bytes: &[u8]) -> bool {
        let mut text = match std::mem::replace(self, Self::Found) {
            Self::Found => return false,
            Self::Start => Vec::new(),
            Self::Before(tail) => tail,
            Self::Header(mut seen) => {
                seen.extend_from_slice(bytes);
                return self.header(seen);
            }
        };
        text.extend_from_slice(bytes);
        match mark_end(&text) {
            Some(end) => self.header(text.split_off(end)),
            None => {
                let keep = text.len().saturating_sub(TAIL);
                *self = Self::Before(text.split_off(keep));
                false
            }
        }
    }

    fn header(&mut self, seen: Vec<u8>) -> bool {
        let mut rest = seen.as_slice();
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let (line, after) = (&rest[..end], &rest[end + 1..]);
            if is_visible(line) {
                if after.is_empty() {
                    break;
                }
                *self = Self::Found;
                return true;
            }
            rest = after;
        }
        *self = Self::Header(seen);
        false
    }
}

/// Where the mark of a section start ends.
fn mark_end(text: &[u8]) -> Option<usize> {
    let starts = text.windows(MARK.len()).enumerate().filter(|(_, window)| *window == MARK);
    for (at, _) in starts {
        let end = at + MARK.len();
        let line = text[..at].iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
        let opens = text[line..at].windows(b"section_start".len()).any(|window| window == b"section_start");
        let ends = text.get(end).is_some_and(|next| matches!(next, b'\r' | b'\n' | b'['));
        if opens && ends {
            return Some(end);
        }
    }
    None
}

/// Whether a line says anything beyond escapes, blanks and the runner's own time stamp.
fn is_visible(line: &[u8]) -> bool {
    let text = String::from_utf8_lossy(line);
    let text = without_stamp(&text);
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c == '\u{1b}' {
            // An escape ends with its letter.
            let _ = chars.by_ref().find(char::is_ascii_alphabetic);
        } else if !c.is_whitespace() && !c.is_control() {
            return true;
        }
    }
    false
}

/// Drops `2026-11-23T22:50:00.181466Z 00O+`.
fn without_stamp(line: &str) -> &str {
    let stamp =
        line.split_once("Z ").filter(|(time, _)| time.len() == 26 && time.starts_with(|c: char| c.is_ascii_digit()));
    stamp.and_then(|(_, rest)| rest.get(4..)).unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds the pieces; the number of the piece that holds the first output.
    fn first(pieces: &[&str]) -> Option<usize> {
        let mut search = OutputSearch::default();
        pieces.iter().position(|piece| search.feed(piece.as_bytes()))
    }

    const PLAIN: &str = "section_start:1795474200:step_script\r\u{1b}[0K\u{1b}[36;1mExecuting\u{1b}[0;m\n";
    const STAMPED: &str = "2026-11-23T22:50:00.181451Z 00O+section_start:1795474200:step_script\r\u{1b}[0K\n\
                           2026-11-23T22:50:00.181466Z 00O+\u{1b}[0K\u{1b}[36;1mExecuting\u{1b}[0;m\n";

    #[test]
    fn output_begins_after_the_header_line() {
        for header in [PLAIN, STAMPED] {
            assert_eq!(first(&["Running with x\n", header]), None);
            assert_eq!(first(&["Running with x\n", header, "$ echo\n"]), Some(2));
            assert_eq!(first(&[&format!("{header}x")]), Some(0));
        }
    }

    #[test]
    fn a_mark_may_be_split_anywhere() {
        for header in [PLAIN, STAMPED] {
            for at in 1..header.len() {
                if header.is_char_boundary(at) {
                    assert_eq!(first(&[&header[..at], &header[at..], "x"]), Some(2), "{at}");
                }
            }
        }
    }

    #[test]
    fn other_sections_and_ends_do_not_count() {
        assert_eq!(first(&["section_start:1:get_sources\r\u{1b}[0K\u{1b}[36;1mGetting\n", "x\n"]), None);
        assert_eq!(first(&["section_end:1:step_script\r\u{1b}[0K\nx\ny\n"]), None);
    }

    #[test]
    fn a_reopened_log_counts_what_it_had_and_no_more() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut log = JobLog::new(path.clone());
        log.append(format!("x\n{PLAIN}").as_bytes()).unwrap();
        let text = serde_json::to_string(&log).unwrap();
        let again = || serde_json::from_str::<JobLog>(&text).unwrap();
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"never acknowledged").unwrap();
        let mut second = again();
        second.reopen().unwrap();
        assert_eq!((second.length(), second.checksum()), (log.length(), log.checksum()));
        assert!(second.append(b"first output\n").unwrap(), "the search goes on where it was");
        assert_eq!(second.read().unwrap(), format!("x\n{PLAIN}first output\n").as_bytes());
        std::fs::write(&path, "x").unwrap();
        assert!(matches!(again().reopen(), Err(LogError::Short { .. })));
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(again().reopen(), Err(LogError::Read(..))));
    }

    #[test]
    fn truncation_restores_length_and_checksum() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = JobLog::new(folder.path().join("log"));
        log.append(b"hello\n").unwrap();
        assert_eq!(log.checksum(), "crc32:363a3020");
        log.append(b"world").unwrap();
        log.truncate(6).unwrap();
        assert_eq!((log.length(), log.checksum().as_str()), (6, "crc32:363a3020"));
        log.append(b"x").unwrap();
        assert_eq!(log.read().unwrap(), b"hello\nx");
    }
}
