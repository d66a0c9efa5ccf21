//! Reading case files: what is wrong with one is told with its file, its field and the cure.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::case::{Body, Case, Target};

/// The largest body that a case may ask for: more than any front door takes.
const LARGEST_BODY: usize = 64 << 20;
/// Every key of a case.
const KEYS: &str = "id, about, target, method, path, headers, body, body_base64, body_repeat, sign, stack, event, expect, \
                    state_changed";

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expect {
    status: Vec<u16>,
    #[serde(default)]
    state_changed: bool,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Repeat {
    #[serde(default)]
    prefix: String,
    text: String,
    times: usize,
    #[serde(default)]
    suffix: String,
}

/// A case file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CaseError {
    /// It cannot be read.
    #[error("{path} cannot be read")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is no JSON object.
    #[error("{path} is no case: it must hold one JSON object ({why})")]
    Json {
        /// Which.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// A field cannot be used.
    #[error("{path}: {field}: {why}")]
    Field {
        /// Which file.
        path: PathBuf,
        /// Which field.
        field: String,
        /// What is wrong, and what is right.
        why: String,
    },
}

/// What is wrong with a field, and what is right.
struct Wrong(String, String);

fn wrong(field: &str, why: impl Into<String>) -> Wrong {
    Wrong(field.to_owned(), why.into())
}

/// Reads all `*.json` files of a folder, by name.
///
/// # Errors
/// Whatever is wrong with any of them: a suite is run whole or not at all.
pub(super) fn read_all(folder: &Path) -> Result<Vec<Case>, Vec<CaseError>> {
    let at = |source| vec![CaseError::File { path: folder.to_owned(), source }];
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(at)? {
        files.push(entry.map_err(at)?.path());
    }
    files.retain(|path| path.extension().is_some_and(|ending| ending == "json"));
    files.sort();
    let (mut cases, mut errors): (Vec<Case>, Vec<CaseError>) = (Vec::new(), Vec::new());
    for path in files {
        match Case::read(&path) {
            Ok(case) if cases.iter().any(|other| other.id == case.id) => {
                let why = format!("another file has the id {:?} too; give each case one of its own", case.id);
                errors.push(CaseError::Field { path, field: "id".to_owned(), why });
            }
            Ok(case) => cases.push(case),
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() { Ok(cases) } else { Err(errors) }
}

impl Case {
    fn read(path: &Path) -> Result<Self, CaseError> {
        let bytes = fs::read(path).map_err(|source| CaseError::File { path: path.to_owned(), source })?;
        let whole = match serde_json::from_slice(&bytes) {
            Ok(Value::Object(whole)) => whole,
            Ok(_) => return Err(CaseError::Json { path: path.to_owned(), why: "it holds something else".to_owned() }),
            Err(error) => return Err(CaseError::Json { path: path.to_owned(), why: error.to_string() }),
        };
        Self::of(whole).map_err(|Wrong(field, why)| CaseError::Field { path: path.to_owned(), field, why })
    }

    fn of(mut whole: Map<String, Value>) -> Result<Self, Wrong> {
        let expected = whole.get("expect").cloned().unwrap_or_default();
        let id: String = needed(&mut whole, "id", "a name for the case's line")?;
        let expect: Expect = needed(&mut whole, "expect", "{\"status\": [401, 403]}")?;
        let changed: bool = optional(&mut whole, "state_changed")?.unwrap_or(false);
        let _about: Option<String> = optional(&mut whole, "about")?;
        let case = Self {
            id,
            target: needed(&mut whole, "target", "\"http\", \"authorizer\" or \"ingest\"")?,
            method: optional(&mut whole, "method")?.unwrap_or_else(|| "POST".to_owned()),
            path: optional(&mut whole, "path")?.unwrap_or_else(|| "/webhook".to_owned()),
            headers: optional(&mut whole, "headers")?.unwrap_or_default(),
            body: body(&mut whole)?,
            sign: optional(&mut whole, "sign")?,
            stack: optional(&mut whole, "stack")?.unwrap_or_default(),
            event: optional(&mut whole, "event")?.unwrap_or_default(),
            status: expect.status,
            state_changed: changed || expect.state_changed,
            expected,
        };
        match whole.keys().next() {
            Some(unknown) => Err(wrong(unknown, format!("is no key of a case; the keys are {KEYS}"))),
            None => case.checked(),
        }
    }

    /// What each field alone does not show.
    fn checked(self) -> Result<Self, Wrong> {
        if self.id.trim().is_empty() {
            return Err(wrong("id", "is empty; it names the case in its line"));
        }
        if self.status.is_empty() {
            return Err(wrong("expect.status", "is empty; list the statuses that are right, as [401, 403]"));
        }
        if !self.path.starts_with('/') {
            return Err(wrong("path", "must begin with a slash, as \"/webhook\""));
        }
        if self.method.is_empty() || self.method.contains(char::is_whitespace) {
            return Err(wrong("method", "must be one word, as \"POST\""));
        }
        let formed = self.event.exact_headers || self.event.is_base64_encoded.is_some();
        if self.target == Target::Http && formed {
            return Err(wrong("event", "is for the targets authorizer and ingest; the HTTP API makes its own events"));
        }
        if self.event.is_base64_encoded.is_some() && matches!(self.body, Body::Bytes(_)) {
            return Err(wrong("event.is_base64_encoded", "takes the body over as it is, so give it as \"body\""));
        }
        Ok(self)
    }
}

fn body(whole: &mut Map<String, Value>) -> Result<Body, Wrong> {
    // What is no text is written as the JSON that it is.
    let text = optional::<Value>(whole, "body")?.map(|body| match body {
        Value::String(text) => text,
        other => other.to_string(),
    });
    let encoded: Option<String> = optional(whole, "body_base64")?;
    let repeat: Option<Repeat> = optional(whole, "body_repeat")?;
    match (text, encoded, repeat) {
        (text, None, None) => Ok(Body::Text(text.unwrap_or_default())),
        (None, Some(encoded), None) => {
            let bytes = STANDARD.decode(encoded);
            bytes.map(Body::Bytes).map_err(|error| wrong("body_base64", format!("is no standard base64: {error}")))
        }
        (None, None, Some(Repeat { prefix, text, times, suffix })) => {
            if text.len().saturating_mul(times) > LARGEST_BODY {
                return Err(wrong("body_repeat", format!("asks for more than {LARGEST_BODY} bytes; ask for less")));
            }
            Ok(Body::Text(format!("{prefix}{}{suffix}", text.repeat(times))))
        }
        _ => Err(wrong("body", "is given twice; give one of body, body_base64 and body_repeat")),
    }
}

fn needed<T: DeserializeOwned>(whole: &mut Map<String, Value>, field: &str, cure: &str) -> Result<T, Wrong> {
    optional(whole, field)?.ok_or_else(|| wrong(field, format!("is missing; give {cure}")))
}

fn optional<T: DeserializeOwned>(whole: &mut Map<String, Value>, field: &str) -> Result<Option<T>, Wrong> {
    match whole.remove(field) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => serde_json::from_value(value).map(Some).map_err(|error| wrong(field, error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::case::{Credentials, Held};
    use super::*;

    fn minimal() -> Value {
        json!({"id": "a", "target": "http", "expect": {"status": [401]}})
    }

    fn of(case: Value) -> Result<Case, Wrong> {
        match case {
            Value::Object(whole) => Case::of(whole),
            _ => panic!("a test's case is an object"),
        }
    }

    #[test]
    fn what_is_not_said_is_a_post_to_the_hook_that_changes_nothing() {
        let case = of(minimal()).ok().unwrap();
        assert_eq!((case.method.as_str(), case.path.as_str()), ("POST", "/webhook"));
        assert!(!case.state_changed && case.headers.is_empty() && case.sign.is_none());
        assert_eq!(case.stack, Held { credentials: Credentials::Both, previous: true, allow_token: false });
        assert!(matches!(case.body, Body::Text(text) if text.is_empty()));
    }

    #[test]
    fn a_change_may_be_expected_in_both_places() {
        let mut case = minimal();
        case["state_changed"] = true.into();
        assert!(of(case).ok().unwrap().state_changed);
        let mut case = minimal();
        case["expect"]["state_changed"] = true.into();
        assert!(of(case).ok().unwrap().state_changed);
    }

    #[test]
    fn bodies_are_made_in_one_way_each() {
        let mut case = minimal();
        case["body_repeat"] = json!({"prefix": "{", "text": "ab", "times": 3});
        assert!(matches!(of(case.clone()).ok().unwrap().body, Body::Text(text) if text == "{ababab"));
        case["body"] = "x".into();
        assert_eq!(of(case).err().unwrap().0, "body");
        let mut case = minimal();
        case["body_base64"] = "/w==".into();
        assert!(matches!(of(case).ok().unwrap().body, Body::Bytes(bytes) if bytes == [0xff]));
        let mut case = minimal();
        case["body"] = json!({"build_id": 1});
        assert!(matches!(of(case).ok().unwrap().body, Body::Text(text) if text == r#"{"build_id":1}"#));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_cure() {
        for (field, value, part) in [
            ("target", json!("smtp"), "authorizer"),
            ("headers", json!({"a": "b"}), "sequence"),
            ("headers", json!([["a"]]), "length"),
            ("sign", json!({"key": "currant"}), "current"),
            ("sign", json!({"offset": 3}), "offset_s"),
            ("stack", json!({"credentials": "all"}), "token"),
            ("body_base64", json!("%"), "base64"),
            ("body_repeat", json!({"text": "x", "times": 100_000_000_000_u64}), "ask for less"),
            ("method", json!("PO ST"), "POST"),
            ("path", json!("webhook"), "slash"),
            ("event", json!({"exact_headers": true}), "ingest"),
            ("expect", json!({"state": 1}), "status"),
            ("id", json!(" "), "empty"),
            ("heders", json!([]), "headers"),
        ] {
            let mut case = minimal();
            case[field] = value;
            let Wrong(named, why) = of(case).err().unwrap();
            assert!(named == field && why.contains(part), "{field}: {named}: {why}");
        }
        let mut case = minimal();
        case["expect"]["status"] = json!([]);
        assert_eq!(of(case).err().unwrap().0, "expect.status");
        for field in ["id", "target", "expect"] {
            let mut case = minimal();
            case.as_object_mut().unwrap().remove(field);
            let Wrong(named, why) = of(case).err().unwrap();
            assert!(named == field && why.contains("missing"), "{named}: {why}");
        }
    }

    #[test]
    fn a_folder_is_taken_whole_or_refused_with_everything_that_is_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        put("b.json", &minimal().to_string());
        put("notes.txt", "no case");
        assert_eq!(read_all(folder.path()).unwrap().len(), 1);
        put("c.json", &minimal().to_string());
        put("d.json", "[]");
        put("e.json", "{");
        let errors: Vec<String> = read_all(folder.path()).unwrap_err().iter().map(ToString::to_string).collect();
        assert_eq!(errors.len(), 3, "{errors:?}");
        assert!(errors[0].contains("c.json: id: another file"), "{errors:?}");
    }
}
