//! The fields of a request. The caller may be somebody else's program in any language, so that ids are taken as numbers
//! and as texts; what is missing or wrong is named.

use runnerless_core::cache::{CacheKey, CacheUse, NamedCaches};
use runnerless_core::id::JobKey;
use serde_json::Value;

/// Longest claim.
const CLAIM_CHARS: usize = 64;
/// Longest launch id and nonce that are looked at.
const ID_CHARS: usize = 128;
/// Longest reason that is kept.
const REASON_CHARS: usize = 200;

/// A field that is missing or wrong. Its value is not repeated: one of them is secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} must be {what}")]
pub struct BadField {
    /// The field, by its path in the request.
    pub field: &'static str,
    /// What it must be.
    pub what: &'static str,
}

const fn bad(field: &'static str, what: &'static str) -> BadField {
    BadField { field, what }
}

/// An id or a nonce.
///
/// # Errors
/// It is missing or wrong.
pub fn text<'a>(event: &'a Value, field: &'static str, what: &'static str) -> Result<&'a str, BadField> {
    let fits = |text: &&str| !text.is_empty() && text.len() <= ID_CHARS;
    event.get(field).and_then(Value::as_str).filter(fits).ok_or(bad(field, what))
}

/// A process's claim; absent where the caller has none.
///
/// # Errors
/// It is missing or wrong.
pub fn claim(event: &Value) -> Result<Option<String>, BadField> {
    match event.get("claim") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if (1..=CLAIM_CHARS).contains(&text.chars().count()) => Ok(Some(text.clone())),
        Some(_) => Err(bad("claim", "a text of 1 to 64 characters, or absent")),
    }
}

/// The job's key, its ids as numbers or as texts.
///
/// # Errors
/// It is missing or wrong.
pub fn job(event: &Value) -> Result<JobKey, BadField> {
    let project =
        id(event, "/job/project_id").ok_or(bad("job.project_id", "GitLab's project id, a positive number"))?;
    let job = id(event, "/job/job_id").ok_or(bad("job.job_id", "GitLab's job id, a positive number"))?;
    Ok(JobKey { project, job })
}

fn id(event: &Value, pointer: &str) -> Option<u64> {
    let number = match event.pointer(pointer)? {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    number.filter(|number| *number > 0)
}

/// The caches that the job names; none where the caller says nothing of any.
///
/// # Errors
/// They are wrong.
pub fn caches(event: &Value) -> Result<NamedCaches, BadField> {
    let what = "an object of two lists of keys, restore and save: at most 32 keys and 8 KiB";
    let Some(caches) = event.get("caches").filter(|caches| !caches.is_null()) else {
        return Ok(NamedCaches::default());
    };
    let caches: NamedCaches = serde_json::from_value(caches.clone()).map_err(|_| bad("caches", what))?;
    if caches.fits() { Ok(caches) } else { Err(bad("caches", what)) }
}

/// Which cache is asked for, and what for.
///
/// # Errors
/// They are missing or wrong.
pub fn cache(event: &Value) -> Result<(CacheUse, CacheKey), BadField> {
    let what = match event.get("what").and_then(Value::as_str) {
        Some("restore") => CacheUse::Restore,
        Some("save") => CacheUse::Save,
        _ => return Err(bad("what", "restore or save")),
    };
    let key = event.get("key").and_then(Value::as_str).and_then(|key| CacheKey::new(key).ok());
    Ok((what, key.ok_or(bad("key", "a cache's key: at most 512 bytes, relative, without .."))?))
}

/// The reason, cut and without control characters: it is shown in logs and in `job show`.
///
/// # Errors
/// It is missing or wrong.
pub fn reason(event: &Value) -> Result<String, BadField> {
    match event.get("reason") {
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::String(text)) => {
            let plain = |c: char| if c.is_control() { ' ' } else { c };
            Ok(text.chars().take(REASON_CHARS).map(plain).collect::<String>().trim().to_owned())
        }
        Some(_) => Err(bad("reason", "a text, or absent")),
    }
}
