//! The job's log: everything that GitLab will show, masked, stamped, limited and counted.
//!
//! The whole log stays in memory, because GitLab may ask for any part of it again until the job's end; the limit bounds
//! it. Writers append, one reader (the part that talks to GitLab) takes bytes by offset and sleeps until there are more.

mod lines;
mod mask;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use runnerless_gitlab::protocol::TraceSum;
use tokio::sync::Notify;
use tokio::time::Instant;

use lines::Lines;
pub use lines::Stream;
pub use mask::{Masker, Masks};

/// How large a log may grow unless configured otherwise, in bytes: the official runner's default `output_limit`.
pub const DEFAULT_LIMIT: usize = 4 * 1024 * 1024;

const BOLD_RED: &str = "\x1b[31;1m";
const BOLD_GREEN: &str = "\x1b[32;1m";
const BOLD_CYAN: &str = "\x1b[36;1m";
const YELLOW: &str = "\x1b[0;33m";
const CLEAR_LINE: &str = "\x1b[0K";
const RESET: &str = "\x1b[0;m";

/// How the log is written.
#[derive(Debug)]
pub struct LogFormat {
    /// Stamp each line.
    pub timestamps: bool,
    /// Write section markers.
    pub sections: bool,
    /// Largest size in bytes; what comes after it is dropped and the log says so.
    pub limit: usize,
    /// What to mask.
    pub masks: Masks,
}

/// A handle to the log; clones write to the same one.
#[derive(Clone, Debug)]
pub struct Log {
    inner: Arc<Mutex<Inner>>,
    grown: Arc<Notify>,
    sections: bool,
}

#[derive(Debug)]
struct Inner {
    bytes: Vec<u8>,
    crc: crc32fast::Hasher,
    limit: usize,
    full: bool,
    /// When the job itself first wrote something: worth a first patch.
    spoken: Option<Instant>,
    streams: [(Masker, Lines); 3],
}

impl Log {
    /// An empty log.
    #[must_use]
    pub fn new(format: LogFormat) -> Self {
        let masks = Arc::new(format.masks);
        let stream = |stream| (Masker::new(Arc::clone(&masks)), Lines::new(stream, format.timestamps));
        let inner = Inner {
            bytes: Vec::new(),
            crc: crc32fast::Hasher::new(),
            limit: format.limit,
            full: false,
            spoken: None,
            streams: [stream(Stream::Runner), stream(Stream::Out), stream(Stream::Err)],
        };
        Self { inner: Arc::new(Mutex::new(inner)), grown: Arc::new(Notify::new()), sections: format.sections }
    }

    /// Appends output of the job.
    pub fn job(&self, stream: Stream, bytes: &[u8]) {
        self.lock().write(stream, bytes);
        self.grown.notify_one();
    }

    /// From now on the job's output is that of its script: the first of it is sent at once.
    pub fn script_speaks(&self) {
        self.lock().spoken.get_or_insert_with(Instant::now);
        self.grown.notify_one();
    }

    /// A line of the runner.
    pub fn note(&self, text: &str) {
        self.own(&format!("{CLEAR_LINE}{text}{RESET}\n"));
    }

    /// A yellow line of the runner: something is not as the job may expect, and it goes on.
    pub fn warn(&self, text: &str) {
        self.own(&format!("{YELLOW}WARNING: {text}{RESET}\n"));
    }

    /// A green line in the job's own stream, as the shell executor announces what it does for the job.
    pub fn announce(&self, text: &str) {
        self.job(Stream::Out, format!("{BOLD_GREEN}{text}{RESET}\n").as_bytes());
    }

    /// A yellow line in the job's own stream, where the shell executor writes that something for the job did not work.
    pub fn caution(&self, text: &str) {
        self.job(Stream::Out, format!("{YELLOW}{text}{RESET}\n").as_bytes());
    }

    /// The last line of a job that went well.
    pub fn succeeded(&self) {
        self.fresh_line();
        self.own(&format!("{BOLD_GREEN}Job succeeded{RESET}\n"));
    }

    /// The last line of a job that did not.
    pub fn failed(&self, text: &str) {
        self.fresh_line();
        self.own(&format!("{BOLD_RED}ERROR: {text}{RESET}\n"));
    }

    /// Opens a section and writes its title.
    pub fn open_section(&self, name: &str, title: &str) {
        self.marker("section_start", name);
        self.own(&format!("{CLEAR_LINE}{BOLD_CYAN}{title}{RESET}{RESET}\n"));
    }

    /// Closes a section, after writing what the job's streams still held back.
    pub fn close_section(&self, name: &str) {
        self.end_of_output();
        self.marker("section_end", name);
    }

    /// The job's streams end here: nothing is held back any more.
    pub fn end_of_output(&self) {
        let mut inner = self.lock();
        inner.finish(Stream::Out);
        inner.finish(Stream::Err);
        drop(inner);
        self.grown.notify_one();
    }

    fn marker(&self, kind: &str, name: &str) {
        if self.sections {
            let now = Timestamp::now().as_second();
            self.own(&format!("{kind}:{now}:{name}\r{CLEAR_LINE}"));
        }
    }

    fn fresh_line(&self) {
        self.lock().finish(Stream::Runner);
    }

    fn own(&self, text: &str) {
        self.lock().write(Stream::Runner, text.as_bytes());
        self.grown.notify_one();
    }

    /// How many bytes there are.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.lock().bytes.len() as u64
    }

    /// Whether nothing was written yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// When the script first wrote something.
    #[must_use]
    pub fn spoken_at(&self) -> Option<Instant> {
        self.lock().spoken
    }

    /// At most `most` bytes from `offset` on.
    #[must_use]
    pub fn part(&self, offset: u64, most: usize) -> Vec<u8> {
        let inner = self.lock();
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(inner.bytes.len());
        let to = from.saturating_add(most).min(inner.bytes.len());
        inner.bytes[from..to].to_vec()
    }

    /// Size and checksum of what there is.
    #[must_use]
    pub fn sum(&self) -> TraceSum {
        let inner = self.lock();
        TraceSum { crc32: inner.crc.clone().finalize(), bytes: inner.bytes.len() as u64 }
    }

    /// Returns when something was written since the last call.
    pub async fn grown(&self) {
        self.grown.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic while writing cannot leave the bytes and their checksum apart by more than the last append.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn write(&mut self, stream: Stream, bytes: &[u8]) {
        if self.full {
            return;
        }
        let mut text = String::new();
        let (masker, lines) = &mut self.streams[index(stream)];
        let shown = masker.push(bytes);
        lines.push(&shown, Timestamp::now(), &mut text);
        self.append(&text);
    }

    fn finish(&mut self, stream: Stream) {
        let mut text = String::new();
        let (masker, lines) = &mut self.streams[index(stream)];
        let now = Timestamp::now();
        let shown = masker.finish();
        lines.push(&shown, now, &mut text);
        lines.finish(now, &mut text);
        self.append(&text);
    }

    /// Appends up to the limit; at the limit says so and takes no more.
    fn append(&mut self, text: &str) {
        if self.full || text.is_empty() {
            return;
        }
        let room = self.limit.saturating_sub(self.bytes.len());
        if text.len() <= room {
            return self.store(text);
        }
        self.full = true;
        self.store(&text[..text.floor_char_boundary(room)]);
        self.store(&format!(
            "\n\x1b[33;1mJob's log exceeded limit of {} bytes.\nJob execution will continue but no more output will be \
             collected.{RESET}\n",
            self.limit
        ));
    }

    fn store(&mut self, text: &str) {
        self.crc.update(text.as_bytes());
        self.bytes.extend_from_slice(text.as_bytes());
    }
}

fn index(stream: Stream) -> usize {
    match stream {
        Stream::Runner => 0,
        Stream::Out => 1,
        Stream::Err => 2,
    }
}

#[cfg(test)]
impl Log {
    /// One in which what was said stands as it was said.
    pub(crate) fn plain() -> Self {
        let masks = Masks::new([""; 0], false, &[]);
        Self::new(LogFormat { timestamps: false, sections: false, limit: 100_000, masks })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(limit: usize) -> Log {
        Log::new(LogFormat { timestamps: false, sections: true, limit, masks: Masks::new(["hush-hush"], true, &[]) })
    }

    fn text(log: &Log) -> String {
        String::from_utf8(log.part(0, usize::MAX)).unwrap()
    }

    #[test]
    fn size_and_checksum_are_those_of_the_bytes() {
        let log = log(1000);
        log.job(Stream::Out, b"hello\n");
        // The protocol's own example.
        assert_eq!(log.sum(), TraceSum { crc32: 0x363a_3020, bytes: 6 });
        log.job(Stream::Err, b"more hush-hush\n");
        assert_eq!(log.sum().crc32, crc32fast::hash(text(&log).as_bytes()));
        assert_eq!(log.sum().bytes, log.len());
    }

    #[test]
    fn the_limit_cuts_at_a_character_and_says_so_once() {
        let log = log(5);
        log.job(Stream::Out, "abcd\u{2603}\n".as_bytes());
        log.job(Stream::Out, b"never\n");
        log.succeeded();
        let text = text(&log);
        assert!(text.starts_with("abcd\n\u{1b}[33;1mJob's log exceeded limit of 5 bytes.\n"), "{text:?}");
        assert!(!text.contains("never") && !text.contains("succeeded"));
        assert_eq!(log.sum().crc32, crc32fast::hash(text.as_bytes()));
    }

    #[test]
    fn masked_values_are_masked_in_every_stream() {
        let log = log(1000);
        log.note("cannot read hush-hush");
        log.job(Stream::Out, b"hush-");
        log.job(Stream::Err, b"hush-hush\n");
        log.job(Stream::Out, b"hush\n");
        log.end_of_output();
        assert!(!text(&log).contains("hush"), "{}", text(&log));
        assert_eq!(text(&log).matches("[MASKED]").count(), 3);
    }

    #[test]
    fn sections_carry_their_names() {
        let log = log(1000);
        log.open_section("step_script", "Running");
        log.job(Stream::Out, b"half a line");
        log.close_section("step_script");
        let text = text(&log);
        assert!(text.starts_with("section_start:") && text.contains(":step_script\r\u{1b}[0K"), "{text:?}");
        let end = text.find("section_end:").unwrap();
        assert!(text.find("half a line").unwrap() < end);
    }

    #[test]
    fn parts_are_taken_by_offset() {
        let log = log(1000);
        log.job(Stream::Out, b"0123456789\n");
        assert_eq!(log.part(4, 3), b"456");
        assert_eq!(log.part(9, 100), b"9\n");
        assert!(log.part(99, 1).is_empty());
    }
}
