//! Lines about artifacts, as the official runner's helper writes them for people to read.

use crate::log::{Log, Stream};

const YELLOW: &str = "\x1b[0;33m";
const BOLD_RED: &str = "\x1b[31;1m";
const RESET: &str = "\x1b[0;m";
/// Columns of a line's message, its level's word included.
const COLUMNS: usize = 50;

/// A fact at the end of a line.
pub(crate) type Field<'a> = (&'a str, String);

/// Says something about artifacts.
#[derive(Clone, Debug)]
pub(crate) struct Says(pub(crate) Log);

impl Says {
    /// It went as it should.
    pub(crate) fn info(&self, message: &str, fields: &[Field<'_>]) {
        self.line("", "", message, fields);
    }

    /// Something is not as one would expect.
    pub(crate) fn warn(&self, message: &str, fields: &[Field<'_>]) {
        self.line(YELLOW, "WARNING: ", message, fields);
    }

    /// It did not go well.
    pub(crate) fn error(&self, message: &str, fields: &[Field<'_>]) {
        self.line(BOLD_RED, "ERROR: ", message, fields);
    }

    /// It ends here.
    pub(crate) fn fatal(&self, message: &str) {
        self.line(BOLD_RED, "FATAL: ", message, &[]);
    }

    /// The names of the fields come in order.
    fn line(&self, color: &str, level: &str, message: &str, fields: &[Field<'_>]) {
        let width = COLUMNS - level.len();
        let mut text = format!("{color}{level}{message:<width$}{RESET} ");
        let mut fields: Vec<&Field<'_>> = fields.iter().collect();
        fields.sort();
        for (name, value) in fields {
            text.push_str(&format!(" {color}{name}{RESET}={value}"));
        }
        text.push('\n');
        self.0.job(Stream::Err, text.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_as_wide_as_those_of_the_official_runner() {
        let log = Log::plain();
        let says = Says(log.clone());
        says.info("out/drop/**/*: excluded 1 files", &[]);
        says.warn("Retrying...", &[("error", "too large".to_owned()), ("context", "c".to_owned())]);
        let text = String::from_utf8(log.part(0, 1000)).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "out/drop/**/*: excluded 1 files                   \u{1b}[0;m ");
        assert_eq!(
            lines[1],
            "\u{1b}[0;33mWARNING: Retrying...                              \u{1b}[0;m  \u{1b}[0;33mcontext\u{1b}[0;m=c \
             \u{1b}[0;33merror\u{1b}[0;m=too large"
        );
    }
}
