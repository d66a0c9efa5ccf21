//! Whether a piece of log continues what is stored (contract, section 3.4).

/// A `Content-Range` of a trace patch: first and last byte, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    /// First byte.
    pub start: u64,
    /// Last byte.
    pub end: u64,
}

impl Range {
    /// Reads `start-end`; GitLab knows no unit here.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (start, end) = text.split_once('-')?;
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(start) || !digits(end) {
            return None;
        }
        Some(Self { start: start.parse().ok()?, end: end.parse().ok()? })
    }
}

/// What is done with a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fit {
    /// It goes to the end.
    Append,
    /// 416: it begins elsewhere, after bytes that nobody sent.
    Gap,
    /// 416: it begins within what is stored; a resend after a lost answer does.
    Overlap,
    /// 416: the range does not describe the body.
    WrongEnd,
    /// 400: there is nothing in it.
    Empty,
}

/// Compares the range, the body's length and the stored length.
pub(crate) fn fit(range: Range, body: u64, stored: u64) -> Fit {
    if body == 0 {
        Fit::Empty
    } else if range.start.checked_add(body - 1) != Some(range.end) {
        Fit::WrongEnd
    } else if range.start > stored {
        Fit::Gap
    } else if range.start < stored {
        Fit::Overlap
    } else {
        Fit::Append
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_digits_make_a_range() {
        assert_eq!(Range::parse("0-9"), Some(Range { start: 0, end: 9 }));
        for bad in ["", "-", "0-", "-9", "bytes 0-9", "0-9/10", "+0-9", "0--1"] {
            assert_eq!(Range::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn pieces() {
        for (start, end, body, stored, expected) in [
            (0, 4, 5, 0, Fit::Append),
            (5, 9, 5, 5, Fit::Append),
            (6, 10, 5, 5, Fit::Gap),
            (0, 4, 5, 5, Fit::Overlap),
            (0, 5, 5, 0, Fit::WrongEnd),
            (0, 0, 0, 0, Fit::Empty),
        ] {
            assert_eq!(fit(Range { start, end }, body, stored), expected, "{start}-{end} {body} {stored}");
        }
    }
}
