//! `cache`: what a job wants to find again.

use super::Cache;
use super::error::{CiError, Place};
use super::read;
use super::yaml::Value;

/// The most caches that a job may have.
const CACHES_LIMIT: usize = 4;
/// The most fallback keys that a cache may have.
const FALLBACK_LIMIT: usize = 5;
/// The key of a cache that names none.
const NO_KEY: &str = "default";

const POLICIES: &[&str] = &["pull-push", "pull", "push"];
const WHENS: &[&str] = &["on_success", "on_failure", "always"];

/// Reads `cache`: one or a list.
pub(super) fn caches(place: &Place<'_>, value: &Value) -> Result<Vec<Cache>, CiError> {
    let values = read::one_or_more(value);
    if values.len() > CACHES_LIMIT {
        return Err(place.refuse(format!("has more than {CACHES_LIMIT} caches; remove some")));
    }
    values.iter().map(|value| cache(place, value)).collect()
}

fn cache(place: &Place<'_>, value: &Value) -> Result<Cache, CiError> {
    let Value::Map(map) = value else {
        return Err(place.refuse(format!("is {}; write a map with `key` and `paths`, or a list of them", value.kind())));
    };
    read::only_keys(place, map, &["key", "paths", "untracked", "policy", "when", "fallback_keys", "unprotect"])?;
    let list = |key: &str| map.get(key).map_or(Ok(Vec::new()), |value| read::texts(&place.below(key), value));
    let flag = |key: &str| map.get(key).map_or(Ok(false), |value| read::boolean(&place.below(key), value));
    let word = |key: &str, known: &[&'static str]| {
        let place = place.below(key);
        let word = map.get(key).map_or(Ok(known[0].to_owned()), |value| read::text(&place, value))?;
        // A policy may be a variable of the job.
        let fits = known.contains(&word.as_str()) || (key == "policy" && word.starts_with('$'));
        if fits { Ok(word) } else { Err(place.refuse(format!("is `{word}`; write `{}`", known.join("`, `")))) }
    };
    let fallback = place.below("fallback_keys");
    let fallback_keys = list("fallback_keys")?.into_iter().map(|text| plain(&fallback, text));
    let fallback_keys: Vec<String> = fallback_keys.collect::<Result<_, _>>()?;
    if fallback_keys.len() > FALLBACK_LIMIT {
        return Err(fallback.refuse(format!("has more than {FALLBACK_LIMIT} keys; remove some")));
    }
    Ok(Cache {
        key: map.get("key").map_or(Ok(NO_KEY.to_owned()), |value| key(&place.below("key"), value))?,
        paths: list("paths")?,
        untracked: flag("untracked")?,
        policy: word("policy", POLICIES)?,
        when: word("when", WHENS)?,
        fallback_keys,
        unprotect: flag("unprotect")?,
    })
}

fn key(place: &Place<'_>, value: &Value) -> Result<String, CiError> {
    if let Value::Map(_) = value {
        return Err(place.refuse("is a map, and keys by `files` are outside the supported subset; write a text"));
    }
    plain(place, read::text(place, value)?)
}

/// A key that GitLab lets pass: no `/`, and not dots alone, however they are written.
fn plain(place: &Place<'_>, text: String) -> Result<String, CiError> {
    let read = text.to_ascii_lowercase().replace("%2f", "/").replace("%2e", ".");
    if read.contains('/') || read.chars().all(|c| c == '.') {
        return Err(place.refuse(format!("is `{text}`; write a text without `/` that is not dots alone")));
    }
    Ok(text)
}
