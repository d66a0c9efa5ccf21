//! Variables in names and paths, as the shell fills them in between quotes: the official runner reads them so, from the
//! environment of the job. What would run a command, or compute, is not filled in.

use super::glob::Name;

/// The text uses something that is not filled in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not understood here")]
pub(crate) struct NotExpanded(String);

/// Deepest nesting of one reference in the alternative of another.
const DEEPEST: usize = 16;

/// The text with its references filled in. A variable without a value is as one that is not there.
pub(crate) fn expand(text: &str, value_of: &dyn Fn(&str) -> String) -> Result<String, NotExpanded> {
    expand_nested(text, value_of, 0)
}

fn expand_nested(text: &str, value_of: &dyn Fn(&str) -> String, depth: usize) -> Result<String, NotExpanded> {
    if depth > DEEPEST {
        return Err(NotExpanded(text.to_owned()));
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['$', '\\', '`']) {
        out.push_str(&rest[..at]);
        let (special, after) = (rest.as_bytes()[at], &rest[at + 1..]);
        rest = match special {
            b'`' => return Err(NotExpanded("`".to_owned())),
            b'\\' => {
                let kept = !after.starts_with(['$', '\\', '`']);
                if kept {
                    out.push('\\');
                }
                let taken = if kept { 0 } else { 1 };
                out.push_str(&after[..taken]);
                &after[taken..]
            }
            _ => reference(after, value_of, depth, &mut out)?,
        };
    }
    out.push_str(rest);
    Ok(out)
}

/// Fills in the reference after a `$`; what follows it is returned.
fn reference<'a>(
    after: &'a str,
    value_of: &dyn Fn(&str) -> String,
    depth: usize,
    out: &mut String,
) -> Result<&'a str, NotExpanded> {
    if after.starts_with('(') {
        return Err(NotExpanded("$(".to_owned()));
    }
    if let Some(inner) = after.strip_prefix('{') {
        let end = closing(inner).ok_or_else(|| NotExpanded(format!("${after}")))?;
        out.push_str(&parameter(&inner[..end], value_of, depth)?);
        return Ok(&inner[end + 1..]);
    }
    if after.starts_with(['*', '#', '@', '!', '?', '-', '$']) || after.starts_with(|c: char| c.is_ascii_digit()) {
        return Ok(&after[1..]);
    }
    let end = name_length(after);
    if end == 0 {
        out.push('$');
    } else {
        out.push_str(&value_of(&after[..end]));
    }
    Ok(&after[end..])
}

/// The value of what is between `${` and `}`.
fn parameter(text: &str, value_of: &dyn Fn(&str) -> String, depth: usize) -> Result<String, NotExpanded> {
    let unknown = || NotExpanded(format!("${{{text}}}"));
    if let Some(name) = text.strip_prefix('#').filter(|name| is_name(name)) {
        return Ok(value_of(name).chars().count().to_string());
    }
    let (name, operation) = text.split_at(name_length(text));
    if name.is_empty() {
        return Err(unknown());
    }
    let value = value_of(name);
    let nested = |word: &str| expand_nested(word, value_of, depth + 1);
    let pattern = |word: &str| nested(word).and_then(|word| Name::new(&word).map_err(|_| unknown()));
    let operation = match operation.strip_prefix(':') {
        // With and without a colon are the same, because empty is as not there.
        Some(rest) if rest.starts_with(['-', '=', '+', '?']) => rest,
        Some(_) => return Err(unknown()),
        None => operation,
    };
    let word = |length: usize| &operation[length..];
    match operation.as_bytes() {
        [] => Ok(value),
        [b'-' | b'=', ..] => {
            if value.is_empty() {
                nested(word(1))
            } else {
                Ok(value)
            }
        }
        [b'+', ..] => {
            if value.is_empty() {
                Ok(value)
            } else {
                nested(word(1))
            }
        }
        [b'?', ..] if !value.is_empty() => Ok(value),
        [b'#', b'#', ..] => Ok(without_start(&value, &pattern(word(2))?, true).to_owned()),
        [b'#', ..] => Ok(without_start(&value, &pattern(word(1))?, false).to_owned()),
        [b'%', b'%', ..] => Ok(without_end(&value, &pattern(word(2))?, true).to_owned()),
        [b'%', ..] => Ok(without_end(&value, &pattern(word(1))?, false).to_owned()),
        [b'/', ..] => {
            let (all, rest) = word(1).strip_prefix('/').map_or((false, word(1)), |rest| (true, rest));
            let (what, by) = unescaped_slash(rest).map_or((rest, ""), |at| (&rest[..at], &rest[at + 1..]));
            Ok(replaced(&value, &pattern(what)?, &nested(by)?, all))
        }
        b"^^" => Ok(value.to_uppercase()),
        b",," => Ok(value.to_lowercase()),
        _ => Err(unknown()),
    }
}

/// Where the `}` is that closes, past those of references inside.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut bytes = text.bytes().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'\\' => drop(bytes.next()),
            b'$' if text[at + 1..].starts_with('{') => {
                depth += 1;
                bytes.next();
            }
            b'}' if depth == 0 => return Some(at),
            b'}' => depth -= 1,
            _ => {}
        }
    }
    None
}

fn unescaped_slash(text: &str) -> Option<usize> {
    let mut bytes = text.bytes().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'\\' => drop(bytes.next()),
            b'/' => return Some(at),
            _ => {}
        }
    }
    None
}

fn name_length(text: &str) -> usize {
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return 0;
    }
    text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len())
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && name_length(text) == text.len()
}

/// Places between characters, the ends among them.
fn cuts(text: &str) -> Vec<usize> {
    text.char_indices().map(|(at, _)| at).chain([text.len()]).collect()
}

fn without_start<'a>(value: &'a str, pattern: &Name, longest: bool) -> &'a str {
    let mut ends = cuts(value);
    if longest {
        ends.reverse();
    }
    ends.into_iter().find(|end| pattern.matches(&value[..*end])).map_or(value, |end| &value[end..])
}

fn without_end<'a>(value: &'a str, pattern: &Name, longest: bool) -> &'a str {
    let mut starts = cuts(value);
    if !longest {
        starts.reverse();
    }
    starts.into_iter().find(|start| pattern.matches(&value[*start..])).map_or(value, |start| &value[..start])
}

/// The longest match is replaced, once or wherever there is one.
fn replaced(value: &str, pattern: &Name, by: &str, all: bool) -> String {
    let mut out = String::new();
    let mut at = 0;
    while at < value.len() {
        let rest = &value[at..];
        let end = cuts(rest).into_iter().rev().find(|end| *end > 0 && pattern.matches(&rest[..*end]));
        if let Some(end) = end {
            out.push_str(by);
            at += end;
            if !all {
                break;
            }
        } else {
            let next = rest.chars().next().map_or(1, char::len_utf8);
            out.push_str(&rest[..next]);
            at += next;
        }
    }
    out.push_str(&value[at..]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value_of(name: &str) -> String {
        match name {
            "REF" => "feature/a-b".to_owned(),
            "NAME" => "ünï".to_owned(),
            "FILE" => "a.tar.gz".to_owned(),
            _ => String::new(),
        }
    }

    #[test]
    fn references_are_filled_in_as_between_quotes() {
        for (text, expected) in [
            ("out/$REF/*", "out/feature/a-b/*"),
            ("${NAME}_x", "ünï_x"),
            ("$NONE", ""),
            ("'$REF'", "'feature/a-b'"),
            ("\\$REF \\\\ \\*", "$REF \\ \\*"),
            ("5$ and $", "5$ and $"),
            ("$1$?x", "x"),
            ("${NONE:-other}${NONE-$NAME}", "otherünï"),
            ("${REF:-other}", "feature/a-b"),
            ("${REF:+set}${NONE:+set}", "set"),
            ("${NONE:-${ALSO:-deep}}", "deep"),
            ("${#NAME}", "3"),
            ("${REF#*/}", "a-b"),
            ("${FILE%.*}", "a.tar"),
            ("${FILE%%.*}", "a"),
            ("${FILE##*.}", "gz"),
            ("${REF//\\//_}", "feature_a-b"),
            ("${FILE/./_}", "a_tar.gz"),
            ("${FILE//./_}", "a_tar_gz"),
            ("${REF^^}", "FEATURE/A-B"),
        ] {
            assert_eq!(expand(text, &value_of).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn nothing_is_run_and_nothing_computed() {
        for text in ["$(id)", "`id`", "$((1+1))", "${REF", "${!REF}", "${REF:1:2}", "${NONE:?no}", "${}"] {
            assert!(expand(text, &value_of).is_err(), "{text}");
        }
        let deep = format!("{}x{}", "${NONE:-".repeat(100), "}".repeat(100));
        assert!(expand(&deep, &value_of).is_err());
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[-a$\\{\\}#%/:^,\\\\üA]{0,14}") {
            let _ = expand(&text, &value_of);
        }
    }
}
