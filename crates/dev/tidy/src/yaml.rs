//! YAML with CloudFormation's short tags, as one JSON value: every scalar is a text, and `!Ref X` is `{"!Ref": "X"}`.
//! The template has no anchors, and the tests need no numbers.

use saphyr_parser::{Event, Parser, StrInput, Tag};
use serde_json::{Map, Value};

/// Reads the one document of a text.
///
/// # Errors
/// Where the text is no YAML, or has what the template must not have: an alias, a key that is no text, a key twice.
pub fn load(text: &str) -> Result<Value, String> {
    let mut events = Events(Parser::new_from_str(text));
    loop {
        match events.next()? {
            Event::StreamStart | Event::DocumentStart(_) | Event::Nothing => {}
            event => return events.value(event),
        }
    }
}

struct Events<'t>(Parser<'t, StrInput<'t>>);

impl<'t> Events<'t> {
    fn next(&mut self) -> Result<Event<'t>, String> {
        match self.0.next_event() {
            Some(Ok((event, _))) => Ok(event),
            Some(Err(error)) => Err(error.to_string()),
            None => Err("it ends too early".to_owned()),
        }
    }

    fn value(&mut self, event: Event<'t>) -> Result<Value, String> {
        let (tag, value) = match event {
            Event::Scalar(text, _, _, tag) => (tag, Value::String(text.into_owned())),
            Event::SequenceStart(_, tag) => (tag, self.list()?),
            Event::MappingStart(_, tag) => (tag, self.map()?),
            other => return Err(format!("{other:?} where a value is expected")),
        };
        let tag: Option<&Tag> = tag.as_deref();
        Ok(match tag.filter(|tag| tag.handle == "!") {
            Some(tag) => Value::Object(Map::from_iter([(format!("!{}", tag.suffix), value)])),
            None => value,
        })
    }

    fn list(&mut self) -> Result<Value, String> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                Event::SequenceEnd => return Ok(Value::Array(items)),
                event => items.push(self.value(event)?),
            }
        }
    }

    fn map(&mut self) -> Result<Value, String> {
        let mut map = Map::new();
        loop {
            let key = match self.next()? {
                Event::MappingEnd => return Ok(Value::Object(map)),
                Event::Scalar(key, ..) => key.into_owned(),
                other => return Err(format!("{other:?} where a key is expected")),
            };
            let event = self.next()?;
            let value = self.value(event)?;
            if map.insert(key.clone(), value).is_some() {
                return Err(format!("key {key} is there twice"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn short_tags_and_scalars_are_kept_as_texts() {
        let text =
            "A: !Ref B\nC: [!Sub 'x-${D}', 3, {e:f: !GetAtt G.Arn}]\nH: !If [I, {J: no}, !Ref K::L]\nM: >-\n  n\n  o\n";
        let expected = json!({
            "A": {"!Ref": "B"},
            "C": [{"!Sub": "x-${D}"}, "3", {"e:f": {"!GetAtt": "G.Arn"}}],
            "H": {"!If": ["I", {"J": "no"}, {"!Ref": "K::L"}]},
            "M": "n o",
        });
        assert_eq!(load(text), Ok(expected));
    }

    #[test]
    fn what_no_template_may_have_is_an_error() {
        for text in ["a: 1\na: 2\n", "a: &x 1\nb: *x\n", "[1]: 2\n", "a: [1\n"] {
            assert!(load(text).is_err(), "{text}");
        }
    }
}
