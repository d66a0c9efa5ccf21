//! Where a command's words go: what was asked for to standard output, all else to standard error.

use std::fmt;
use std::io::{self, Write};

/// The two streams.
pub struct Screen<'a> {
    out: &'a mut dyn Write,
    err: &'a mut dyn Write,
}

impl fmt::Debug for Screen<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Screen")
    }
}

impl<'a> Screen<'a> {
    /// These two.
    pub fn new(out: &'a mut dyn Write, err: &'a mut dyn Write) -> Self {
        Self { out, err }
    }

    /// A line of the answer.
    ///
    /// # Errors
    /// The stream is closed.
    pub fn say(&mut self, line: impl fmt::Display) -> io::Result<()> {
        writeln!(self.out, "{line}")
    }

    /// A line for the person.
    ///
    /// # Errors
    /// The stream is closed.
    pub fn tell(&mut self, line: impl fmt::Display) -> io::Result<()> {
        writeln!(self.err, "runnerless: {line}")
    }
}
