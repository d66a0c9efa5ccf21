//! Request headers as Lambda events carry them.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

/// Headers by lower-case name. Names that differ in case only are one header sent more than once; API Gateway joins such
/// values by commas instead, which the readers of the values notice.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers(BTreeMap<String, Vec<String>>);

/// What was sent of one header.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Header<'a> {
    /// Nothing.
    Absent,
    /// This, which may be empty.
    Once(&'a str),
    /// More than one value.
    Repeated,
}

impl Headers {
    /// From names and values.
    #[must_use]
    pub fn of<N: AsRef<str>, V: Into<String>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        let mut headers = Self::default();
        for (name, value) in pairs {
            headers.add(name.as_ref().to_owned(), value.into());
        }
        headers
    }

    fn add(&mut self, mut name: String, value: String) {
        name.make_ascii_lowercase();
        self.0.entry(name).or_default().push(value);
    }

    /// What was sent under `name`, which is lower-case.
    #[must_use]
    pub fn get(&self, name: &str) -> Header<'_> {
        match self.0.get(name).map_or(&[][..], Vec::as_slice) {
            [] => Header::Absent,
            [value] => Header::Once(value),
            _ => Header::Repeated,
        }
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The values hold the secret token.
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl fmt::Debug for Header<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Absent => "Absent",
            Self::Once(_) => "Once",
            Self::Repeated => "Repeated",
        })
    }
}

impl<'de> Deserialize<'de> for Headers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Entries)
    }
}

struct Entries;

impl<'de> Visitor<'de> for Entries {
    type Value = Headers;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of header names and values")
    }

    fn visit_unit<E>(self) -> Result<Headers, E> {
        Ok(Headers::default())
    }

    /// Entry by entry, because a map would keep one of two equal names silently.
    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Headers, A::Error> {
        let mut headers = Headers::default();
        while let Some((name, value)) = entries.next_entry::<String, Value>()? {
            let value = match value {
                Value::String(text) => text,
                Value::Number(number) => number.to_string(),
                // Present, and nothing that any check takes.
                _ => String::new(),
            };
            headers.add(name, value);
        }
        Ok(headers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_no_case_and_doubles_are_seen() {
        let headers: Headers =
            serde_json::from_str(r#"{"X-Gitlab-Token":"a","webhook-id":"b","WEBHOOK-ID":"c","n":7,"x":null}"#).unwrap();
        assert_eq!(headers.get("x-gitlab-token"), Header::Once("a"));
        assert_eq!(headers.get("webhook-id"), Header::Repeated);
        assert_eq!((headers.get("n"), headers.get("x")), (Header::Once("7"), Header::Once("")));
        assert_eq!(headers.get("y"), Header::Absent);
        let same_name: Headers = serde_json::from_str(r#"{"a":"1","a":"1"}"#).unwrap();
        assert_eq!(same_name.get("a"), Header::Repeated);
        assert_eq!(serde_json::from_str::<Headers>("null").unwrap(), Headers::default());
    }

    #[test]
    fn debug_output_shows_names_only() {
        let shown = format!("{:?}", Headers::of([("X-Gitlab-Token", "hush")]));
        assert!(shown.contains("x-gitlab-token") && !shown.contains("hush"), "{shown}");
    }
}
