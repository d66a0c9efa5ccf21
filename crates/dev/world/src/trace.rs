//! The trace: everything that happened in a world, in order, as one hash; and the last of it in words.

use std::collections::VecDeque;
use std::fmt::{self, Write as _};

use runnerless_core::time::Timestamp;
use sha2::{Digest as _, Sha256};

/// How many of the last lines are kept in words, where they are.
const KEPT: usize = 200_000;

/// What happened.
#[derive(Debug)]
pub(crate) struct Trace {
    hash: Sha256,
    line: String,
    last: Option<VecDeque<String>>,
    lines: u64,
    began: Timestamp,
}

impl Trace {
    /// An empty one; `keeps` also the last lines.
    pub(crate) fn new(keeps: bool, began: Timestamp) -> Self {
        Self { hash: Sha256::new(), line: String::new(), last: keeps.then(VecDeque::new), lines: 0, began }
    }

    /// Adds a line.
    pub(crate) fn add(&mut self, now: Timestamp, what: fmt::Arguments<'_>) {
        self.line.clear();
        let since = (now - self.began).0;
        // Writing to a text cannot fail.
        let _ = write!(self.line, "{since} {what}");
        self.hash.update(self.line.as_bytes());
        self.hash.update(b"\n");
        self.lines += 1;
        if let Some(last) = &mut self.last {
            if last.len() == KEPT {
                last.pop_front();
            }
            let ms = since.unsigned_abs();
            let words = self.line.split_once(' ').map_or("", |(_, words)| words);
            last.push_back(format!("{:>6}.{:03} s  {words}", ms / 1000, ms % 1000));
        }
    }

    /// How many lines it has.
    pub(crate) const fn lines(&self) -> u64 {
        self.lines
    }

    /// The hash over all lines, and the last ones.
    pub(crate) fn end(self) -> ([u8; 32], Vec<String>) {
        (self.hash.finalize().into(), self.last.unwrap_or_default().into())
    }
}
