//! From the parser's events to one value: anchors, merge keys, tags and limits.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Span, StrInput, Tag};

use super::scalar;
use super::value::{Map, Value};
use crate::ci::error::CiError;

/// GitLab's own limits for one file: `max_yaml_size_bytes` and `max_yaml_depth`.
const BYTES_LIMIT: usize = 2 * 1024 * 1024;
const DEPTH_LIMIT: usize = 100;
/// Values of a file with its aliases written out. GitLab counts bytes of memory instead; both stop a file whose few
/// lines stand for millions.
const VALUES_LIMIT: usize = 100_000;

/// Reads the one document of a file.
pub(in super::super) fn load(text: &str) -> Result<Value, CiError> {
    if text.len() > BYTES_LIMIT {
        return Err(refuse(1, format!("the file has more than {BYTES_LIMIT} bytes; make it shorter")));
    }
    let mut composer = Composer { events: Parser::new_from_str(text), anchors: HashMap::new(), values: 0 };
    let mut document = None;
    loop {
        let (event, span) = composer.next()?;
        match event {
            Event::StreamEnd => return Ok(document.unwrap_or(Value::Null)),
            Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd | Event::Nothing => {}
            _ if document.is_some() => {
                return Err(refuse(
                    line(&span),
                    "a second document begins; only one without `spec` is read, remove `---`",
                ));
            }
            event => document = Some(composer.value(event, &span, 1)?),
        }
    }
}

struct Composer<'t> {
    events: Parser<'t, StrInput<'t>>,
    anchors: HashMap<usize, Value>,
    values: usize,
}

impl<'t> Composer<'t> {
    fn next(&mut self) -> Result<(Event<'t>, Span), CiError> {
        match self.events.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => Err(refuse(error.marker().line(), format!("not YAML: {}; correct it", error.info()))),
            None => Err(refuse(1, "not YAML: it ends too early; complete it")),
        }
    }

    /// The value that begins with an event.
    fn value(&mut self, event: Event<'t>, span: &Span, depth: usize) -> Result<Value, CiError> {
        if depth > DEPTH_LIMIT {
            return Err(refuse(line(span), format!("nested deeper than {DEPTH_LIMIT} levels; flatten it")));
        }
        self.count(1, span)?;
        let (anchor, value) = match event {
            Event::Alias(anchor) => {
                let value = self.anchors.get(&anchor).cloned();
                let value =
                    value.ok_or_else(|| refuse(line(span), "an alias stands inside its own anchor; remove it"))?;
                self.count(value.size(), span)?;
                return Ok(value);
            }
            Event::Scalar(text, style, anchor, tag) => (anchor, plain_or_text(&text, style, tag.as_deref(), span)?),
            Event::SequenceStart(anchor, tag) => {
                core_tag(tag.as_deref(), &["seq"], span)?;
                (anchor, self.list(depth)?)
            }
            Event::MappingStart(anchor, tag) => {
                core_tag(tag.as_deref(), &["map"], span)?;
                (anchor, self.map(depth)?)
            }
            _ => return Err(refuse(line(span), "not YAML: a value is missing; add it")),
        };
        // The parser counts anchors from 1; 0 is a value without one.
        if anchor != 0 {
            self.anchors.insert(anchor, value.clone());
        }
        Ok(value)
    }

    fn list(&mut self, depth: usize) -> Result<Value, CiError> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(Value::List(items)),
                (event, span) => items.push(self.value(event, &span, depth + 1)?),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<Value, CiError> {
        let mut map = Map::default();
        loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                return Ok(Value::Map(map));
            }
            let key = self.value(event, &span, depth + 1)?;
            let (event, value_span) = self.next()?;
            let value = self.value(event, &value_span, depth + 1)?;
            if key == Value::Text("<<".to_owned()) {
                merge(&mut map, value, &span)?;
            } else {
                map.set(key, value);
            }
        }
    }

    fn count(&mut self, more: usize, span: &Span) -> Result<(), CiError> {
        self.values += more;
        if self.values > VALUES_LIMIT {
            let problem = format!("the file has more than {VALUES_LIMIT} values, aliases written out; use fewer");
            return Err(refuse(line(span), problem));
        }
        Ok(())
    }
}

/// Takes over the keys of a map, or of a list of maps of which the first wins.
fn merge(map: &mut Map, value: Value, span: &Span) -> Result<(), CiError> {
    let parts = match value {
        Value::List(parts) => parts,
        one => vec![one],
    };
    for part in parts.into_iter().rev() {
        match part {
            Value::Map(part) => map.merge(part),
            other => {
                let problem = format!("`<<` has {}; give it a map or a list of maps", other.kind());
                return Err(refuse(line(span), problem));
            }
        }
    }
    Ok(())
}

fn plain_or_text(text: &str, style: ScalarStyle, tag: Option<&Tag>, span: &Span) -> Result<Value, CiError> {
    core_tag(tag, &["str", "int", "float", "bool", "null"], span)?;
    if style != ScalarStyle::Plain || tag.is_some_and(|tag| tag.suffix == "str") {
        return Ok(Value::Text(text.to_owned()));
    }
    scalar::resolve(text).map_err(|problem| refuse(line(span), problem))
}

/// Lets only YAML's own types pass.
fn core_tag(tag: Option<&Tag>, types: &[&str], span: &Span) -> Result<(), CiError> {
    match tag {
        Some(tag) if !tag.is_yaml_core_schema() || !types.contains(&tag.suffix.as_str()) => {
            Err(refuse(line(span), format!("the tag `{tag}` is not read; write out what it stands for")))
        }
        _ => Ok(()),
    }
}

fn line(span: &Span) -> usize {
    span.start.line()
}

fn refuse(line: usize, problem: impl Into<String>) -> CiError {
    CiError::Yaml { line, problem: problem.into() }
}
