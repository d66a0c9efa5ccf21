//! What can be read off a job's log: its plain text and its sections.

/// Length of a line's stamp: time, stream, kind (`2026-11-23T22:49:17.804624Z 00O`), without the mark after it.
const STAMP: usize = 31;

/// The log without stamps and colours; a continued line is one line.
pub(crate) fn plain(log: &str) -> String {
    let mut text = String::with_capacity(log.len());
    for line in log.split_inclusive('\n') {
        match stamp(line) {
            Some(Mark::Continued) => {
                if text.ends_with('\n') {
                    text.pop();
                }
                text.push_str(&line[STAMP + 1..]);
            }
            Some(Mark::Fresh) => text.push_str(&line[STAMP + 1..]),
            None => text.push_str(line),
        }
    }
    without_colours(&text)
}

/// The names of the sections, in the order in which they were opened.
pub(crate) fn sections(log: &str) -> Vec<String> {
    let opened = log.split("section_start:").skip(1);
    let name = |rest: &str| {
        let (time, rest) = rest.split_once(':')?;
        let name = rest.split(['\r', '\x1b', '[', '\n']).next()?;
        (!time.is_empty() && time.bytes().all(|byte| byte.is_ascii_digit())).then(|| name.to_owned())
    };
    opened.filter_map(name).collect()
}

enum Mark {
    Fresh,
    Continued,
}

/// What is before a line's text, if it is stamped.
fn stamp(line: &str) -> Option<Mark> {
    let head = line.as_bytes().get(..=STAMP)?;
    let fits = head[10] == b'T' && head[26] == b'Z' && head[27] == b' ' && matches!(head[30], b'O' | b'E');
    match head[STAMP] {
        b' ' if fits => Some(Mark::Fresh),
        b'+' if fits => Some(Mark::Continued),
        _ => None,
    }
}

/// Without `ESC [ ... letter`.
fn without_colours(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("\x1b[") {
        out.push_str(&rest[..at]);
        let after = &rest[at + 2..];
        let end = after.find(|c: char| c.is_ascii_alphabetic()).map_or(after.len(), |letter| letter + 1);
        rest = &after[end..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "2026-11-23T22:49:17.804677Z 00O section_start:1795474157:prepare_executor\r\x1b[0K\n\
        2026-11-23T22:49:17.804682Z 00O+\x1b[0K\x1b[36;1mPreparing\x1b[0;m\x1b[0;m\n\
        2026-11-23T22:49:17.904682Z 01E says section_start:x:no and ünï\n\
        2026-11-23T22:49:17.804677Z 00O section_start:1795474158:step_script[hide=true]\r\x1b[0K\n";

    #[test]
    fn stamps_and_colours_are_left_out_and_continued_lines_joined() {
        let text = plain(LOG);
        assert!(text.contains("prepare_executor\rPreparing\nsays section_start:x:no and ünï\n"), "{text:?}");
        assert_eq!(plain("no stamp \x1b[32;1m$ x\x1b[0;m\nshort\n"), "no stamp $ x\nshort\n");
    }

    #[test]
    fn sections_are_those_with_a_time() {
        assert_eq!(sections(LOG), ["prepare_executor", "step_script"]);
    }
}
