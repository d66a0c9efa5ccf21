//! One line of the Prometheus text format (version 0.0.4).

use std::borrow::Cow;

use crate::time::Timestamp;

/// A sample.
#[derive(Debug, PartialEq)]
pub(super) struct Sample<'a> {
    pub(super) name: &'a str,
    labels: &'a str,
    pub(super) value: f64,
    /// Its own time, which runner managers do not send.
    pub(super) taken_at: Option<Timestamp>,
}

impl<'a> Sample<'a> {
    /// The value of a label.
    pub(super) fn label(&self, wanted: &str) -> Option<Cow<'a, str>> {
        let mut rest = self.labels;
        while let Ok(Some((name, value, after))) = label(rest) {
            if name == wanted {
                return Some(unescaped(value));
            }
            rest = after;
        }
        None
    }
}

/// Reads a line; `None` for a comment or an empty one.
pub(super) fn sample(line: &str) -> Result<Option<Sample<'_>>, &'static str> {
    let line = line.trim_matches([' ', '\t']);
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let (name, rest) = name(line, ":").ok_or("it does not begin with a metric's name")?;
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(inner) => labels(inner)?,
        None if rest.starts_with([' ', '\t']) => ("", rest),
        None => return Err("no value follows the name"),
    };
    let mut words = rest.split([' ', '\t']).filter(|word| !word.is_empty());
    let value = words.next().ok_or("no value follows the name")?;
    let value: f64 = value.parse().map_err(|_| "the value is no number")?;
    let taken_at = match words.next() {
        Some(at) => Some(Timestamp(at.parse().map_err(|_| "the time is no number of milliseconds")?)),
        None => None,
    };
    if words.next().is_some() {
        return Err("something follows the time");
    }
    Ok(Some(Sample { name, labels, value, taken_at }))
}

/// The labels' text and what follows the closing brace.
fn labels(inner: &str) -> Result<(&str, &str), &'static str> {
    let mut rest = inner;
    while let Some((_, _, after)) = label(rest)? {
        rest = after;
    }
    let after = rest.trim_start_matches([' ', '\t']).strip_prefix('}').ok_or("the labels do not end")?;
    Ok((&inner[..inner.len() - rest.len()], after))
}

/// The next label's name and escaped value, and what follows it and its comma; `None` where no label begins.
fn label(text: &str) -> Result<Option<(&str, &str, &str)>, &'static str> {
    let text = text.trim_start_matches([' ', '\t']);
    if text.is_empty() || text.starts_with('}') {
        return Ok(None);
    }
    let (name, rest) = name(text, "").ok_or("a label has no name")?;
    let rest = rest.trim_start_matches([' ', '\t']).strip_prefix('=').ok_or("a label has no value")?;
    let rest = rest.trim_start_matches([' ', '\t']).strip_prefix('"').ok_or("a label's value has no quotes")?;
    let end = closing_quote(rest).ok_or("a label's value does not end")?;
    let after = rest[end + 1..].trim_start_matches([' ', '\t']);
    let after = match after.strip_prefix(',') {
        Some(after) => after,
        None if after.starts_with('}') || after.is_empty() => after,
        None => return Err("something follows a label"),
    };
    Ok(Some((name, &rest[..end], after)))
}

/// Where a label's value ends: at the first quote that is not escaped.
fn closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, character) in text.char_indices() {
        match character {
            '"' if !escaped => return Some(at),
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    None
}

fn unescaped(value: &str) -> Cow<'_, str> {
    if !value.contains('\\') {
        return Cow::Borrowed(value);
    }
    let mut text = String::with_capacity(value.len());
    let mut characters = value.chars();
    while let Some(character) = characters.next() {
        match (character, characters.clone().next()) {
            ('\\', Some('n')) => text.push('\n'),
            ('\\', Some(next @ ('\\' | '"'))) => text.push(next),
            _ => {
                text.push(character);
                continue;
            }
        }
        characters.next();
    }
    Cow::Owned(text)
}

/// A name at the beginning: letters, digits, `_` and what `also` has; no digit first.
fn name<'a>(text: &'a str, also: &str) -> Option<(&'a str, &'a str)> {
    let belongs = |character: char| character.is_ascii_alphanumeric() || character == '_' || also.contains(character);
    let end = text.find(|character| !belongs(character)).unwrap_or(text.len());
    let name = &text[..end];
    let first = name.chars().next()?;
    (!first.is_ascii_digit()).then_some((name, &text[end..]))
}
