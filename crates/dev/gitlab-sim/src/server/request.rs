//! A request, read whole.

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{HeaderMap, HeaderName};
use serde_json::{Map, Value};
use url::form_urlencoded;

use super::answer::Answer;

/// A request.
#[derive(Debug)]
pub(crate) struct Request {
    /// Method, upper case.
    pub method: String,
    /// Path as sent.
    pub path: String,
    /// The path's segments, decoded.
    pub segments: Vec<String>,
    /// Query as sent.
    pub query: Option<String>,
    /// Headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Request {
    /// A header's text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let name = HeaderName::try_from(name).ok()?;
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// A query parameter.
    pub(crate) fn query(&self, name: &str) -> Option<String> {
        let pairs = form_urlencoded::parse(self.query.as_deref().unwrap_or("").as_bytes());
        pairs.into_iter().filter(|(key, _)| key == name).map(|(_, value)| value.into_owned()).last()
    }

    /// All query parameters called `name` or `name[]`.
    pub(crate) fn query_list(&self, name: &str) -> Vec<String> {
        let list = format!("{name}[]");
        let pairs = form_urlencoded::parse(self.query.as_deref().unwrap_or("").as_bytes());
        pairs.filter(|(key, _)| key == name || *key == list).map(|(_, value)| value.into_owned()).collect()
    }

    /// The parameters as Grape sees them: query, then a JSON object or a form.
    ///
    /// # Errors
    /// The answer to a body that is neither.
    pub(crate) fn params(&self) -> Result<Map<String, Value>, Answer> {
        let mut params = Map::new();
        if let Some(query) = &self.query {
            insert_form(&mut params, query.as_bytes());
        }
        if self.body.is_empty() {
            return Ok(params);
        }
        let kind =
            self.header("content-type").unwrap_or("").split(';').next().unwrap_or("").trim().to_ascii_lowercase();
        match kind.as_str() {
            "application/x-www-form-urlencoded" => insert_form(&mut params, &self.body),
            "" | "application/json" => match serde_json::from_slice(&self.body) {
                Ok(Value::Object(object)) => params.extend(object),
                Ok(_) => return Err(Answer::error(400, "the body is not a JSON object")),
                Err(error) => return Err(Answer::error(400, format!("the body is not JSON: {error}"))),
            },
            other => return Err(Answer::error(415, format!("The provided content-type '{other}' is not supported."))),
        }
        Ok(params)
    }
}

fn insert_form(params: &mut Map<String, Value>, bytes: &[u8]) {
    for (key, value) in form_urlencoded::parse(bytes) {
        match key.strip_suffix("[]") {
            Some(list) => {
                let entry = params.entry(list.to_owned()).or_insert_with(|| Value::Array(Vec::new()));
                if let Value::Array(items) = entry {
                    items.push(Value::String(value.into_owned()));
                }
            }
            None => {
                params.insert(key.into_owned(), Value::String(value.into_owned()));
            }
        }
    }
}

/// The segments of a path, each decoded by itself: `group%2Fproject` is one.
pub(crate) fn segments(path: &str) -> Vec<String> {
    path.split('/').filter(|part| !part.is_empty()).map(decode).collect()
}

fn decode(part: &str) -> String {
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = after.get(..2).filter(|_| *first == b'%').and_then(|pair| hex::decode(pair).ok());
        match hex.as_deref() {
            Some([byte]) => {
                bytes.push(*byte);
                rest = &after[2..];
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Why a body could not be had.
#[derive(Debug)]
pub(crate) enum Unread {
    /// It is longer than allowed.
    TooLong,
    /// The client went away, or a fault cut it.
    Gone,
}

/// Reads a body of at most `limit` bytes. `cut` breaks off after so many.
pub(crate) async fn read(mut body: Incoming, limit: usize, cut: Option<usize>) -> Result<Bytes, Unread> {
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return Err(Unread::Gone) };
        let Ok(data) = frame.into_data() else { continue };
        bytes.extend_from_slice(&data);
        if cut.is_some_and(|cut| bytes.len() >= cut) {
            return Err(Unread::Gone);
        }
        if bytes.len() > limit {
            return Err(Unread::TooLong);
        }
    }
    if cut.is_some() { Err(Unread::Gone) } else { Ok(bytes.freeze()) }
}

/// A parameter as text; numbers and booleans as they are written.
pub(crate) fn text(params: &Map<String, Value>, key: &str) -> Option<String> {
    match params.get(key)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(value) => Some(value.to_string()),
        _ => None,
    }
}

/// A parameter as a boolean.
pub(crate) fn flag(params: &Map<String, Value>, key: &str) -> Option<bool> {
    match text(params, key)?.as_str() {
        "true" | "1" | "t" | "on" | "yes" => Some(true),
        "false" | "0" | "f" | "off" | "no" => Some(false),
        _ => None,
    }
}

/// A parameter as a whole number that is not negative.
pub(crate) fn number(params: &Map<String, Value>, key: &str) -> Option<u64> {
    text(params, key)?.parse().ok()
}

/// A parameter as a list: an array, or a text with commas.
pub(crate) fn list(params: &Map<String, Value>, key: &str) -> Option<Vec<String>> {
    let items: Vec<String> = match params.get(key)? {
        Value::Array(items) => items.iter().filter_map(|item| item.as_str().map(str::to_owned)).collect(),
        Value::String(text) => text.split(',').map(|item| item.trim().to_owned()).collect(),
        _ => return None,
    };
    Some(items.into_iter().filter(|item| !item.is_empty()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_in_a_path_is_one_segment() {
        assert_eq!(segments("/api/v4/projects/acme%2Fwidget/jobs"), ["api", "v4", "projects", "acme/widget", "jobs"]);
        assert_eq!(segments("/a%zz%2"), ["a%zz%2"]);
    }
}
