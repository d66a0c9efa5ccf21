//! The log's line format: with time stamps, or the bytes as they come.
//!
//! With `FF_TIMESTAMPS` (the default since GitLab Runner 17) every line starts with
//! `2026-01-02T03:04:05.678901Z 01O `: the time, the stream (`00` the runner's own, `01` the job's), `O` or `E`, and a
//! space, or `+` when the text continues the line before. A piece that holds a carriage return and no line feed is
//! written at once, so that progress bars and section markers move.

use jiff::Timestamp;

/// Longest line that waits for its end; what is longer is written in continued pieces.
const LONGEST_LINE: usize = 16 * 1024;

/// Where a line comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// The runner speaks.
    Runner,
    /// The job's standard output.
    Out,
    /// The job's standard error.
    Err,
}

impl Stream {
    fn mark(self) -> &'static str {
        match self {
            Self::Runner => "00O",
            Self::Out => "01O",
            Self::Err => "01E",
        }
    }
}

/// Formats one stream.
#[derive(Debug)]
pub(super) struct Lines {
    stream: Stream,
    timestamps: bool,
    /// Without its end.
    partial: Vec<u8>,
    /// What was written last did not end its line.
    continues: bool,
}

impl Lines {
    pub(super) fn new(stream: Stream, timestamps: bool) -> Self {
        Self { stream, timestamps, partial: Vec::new(), continues: false }
    }

    /// Takes more of the stream and writes what is complete.
    pub(super) fn push(&mut self, bytes: &[u8], now: Timestamp, out: &mut String) {
        if !self.timestamps {
            self.partial.extend_from_slice(bytes);
            self.write_partial(now, out);
            return;
        }
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.partial.extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                let line = std::mem::take(&mut self.partial);
                self.write(&line, now, out);
            }
        }
        if self.partial.contains(&b'\r') || self.partial.len() > LONGEST_LINE {
            self.write_partial(now, out);
        }
    }

    /// Writes what waits, and lets the next text start a line of its own.
    pub(super) fn finish(&mut self, now: Timestamp, out: &mut String) {
        let rest = std::mem::take(&mut self.partial);
        if !rest.is_empty() {
            self.write(&rest, now, out);
        }
        if self.continues && !self.timestamps {
            out.push('\n');
        }
        self.continues = false;
    }

    /// Writes what waits but for a character whose bytes are not all there yet.
    fn write_partial(&mut self, now: Timestamp, out: &mut String) {
        let rest = self.partial.split_off(whole_characters(&self.partial));
        let ready = std::mem::replace(&mut self.partial, rest);
        if !ready.is_empty() {
            self.write(&ready, now, out);
        }
    }

    fn write(&mut self, text: &[u8], now: Timestamp, out: &mut String) {
        let ends = text.ends_with(b"\n");
        if self.timestamps {
            out.push_str(&now.strftime("%Y-%m-%dT%H:%M:%S.%6fZ ").to_string());
            out.push_str(self.stream.mark());
            out.push(if self.continues { '+' } else { ' ' });
        }
        out.push_str(&String::from_utf8_lossy(text));
        if self.timestamps && !ends {
            out.push('\n');
        }
        self.continues = !ends;
    }
}

/// The length of `bytes` without an unfinished UTF-8 sequence at the end.
fn whole_characters(bytes: &[u8]) -> usize {
    let from = bytes.len().saturating_sub(3);
    for at in (from..bytes.len()).rev() {
        let needs = match bytes[at] {
            0xc2..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf4 => 4,
            0x80..=0xbf => continue,
            _ => 1,
        };
        return if bytes.len() - at < needs { at } else { bytes.len() };
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at() -> Timestamp {
        "2026-01-02T03:04:05.678901Z".parse().unwrap()
    }

    fn run(timestamps: bool, chunks: &[&[u8]]) -> String {
        let mut lines = Lines::new(Stream::Out, timestamps);
        let mut out = String::new();
        for chunk in chunks {
            lines.push(chunk, at(), &mut out);
        }
        lines.finish(at(), &mut out);
        out.replace("2026-01-02T03:04:05.678901Z", "T")
    }

    #[test]
    fn a_line_is_stamped_once_however_it_arrives() {
        assert_eq!(run(true, &[b"a", b"b\nc", b"\n"]), "T 01O ab\nT 01O c\n");
    }

    #[test]
    fn a_carriage_return_is_written_at_once_and_continued() {
        assert_eq!(
            run(true, &[b"10%\r", b"20%\r", b"done\n", b"x\n"]),
            "T 01O 10%\r\nT 01O+20%\r\nT 01O+done\nT 01O x\n"
        );
    }

    #[test]
    fn an_unfinished_line_is_written_at_the_end() {
        assert_eq!(run(true, &[b"no end"]), "T 01O no end\n");
        assert_eq!(run(false, &[b"no end"]), "no end\n");
    }

    #[test]
    fn broken_utf8_is_replaced_and_split_characters_are_not() {
        let snow = "\u{2603}".as_bytes();
        for timestamps in [true, false] {
            let out = run(timestamps, &[&snow[..1], &snow[1..2], &snow[2..], b"\xff\xc3\n"]);
            assert!(out.ends_with("\u{2603}\u{fffd}\u{fffd}\n"), "{out:?}");
        }
        assert!(run(true, &[b"\r", &snow[..2], b"\r", b"\n"]).contains('\u{fffd}'));
    }

    #[test]
    fn an_endless_line_is_written_in_pieces() {
        let piece = vec![b'y'; LONGEST_LINE + 1];
        let out = run(true, &[&piece, b"z\n"]);
        assert!(out.ends_with("\nT 01O+z\n"));
        assert_eq!(out.matches('y').count(), piece.len());
    }

    proptest::proptest! {
        #[test]
        fn without_stamps_valid_text_passes_unchanged(text in "\\PC{0,40}\n", cut in 0_usize..100) {
            let bytes = text.as_bytes();
            let cut = cut.min(bytes.len());
            proptest::prop_assert_eq!(run(false, &[&bytes[..cut], &bytes[cut..]]), text);
        }
    }
}
