//! What jobs need that deploy: `environment` and `id_tokens`.

use super::error::{CiError, Place};
use super::read;
use super::variables;
use super::yaml::Value;
use super::{Environment, IdToken};

/// What a job may do to an environment.
const ACTIONS: &[&str] = &["start", "prepare", "stop", "verify", "access"];

/// A name, or a map with one.
pub(super) fn environment(place: &Place<'_>, value: &Value) -> Result<Environment, CiError> {
    let Value::Map(map) = value else {
        let name = name(place, read::text(place, value)?)?;
        return Ok(Environment { name, url: None, action: "start".to_owned() });
    };
    read::only_keys(place, map, &["name", "url", "action"])?;
    let at = place.below("name");
    let value = map.get("name").ok_or_else(|| at.refuse("is missing; name the environment"))?;
    let url = map.get("url").map(|value| read::text(&place.below("url"), value)).transpose()?;
    let at_action = place.below("action");
    let action = map.get("action").map_or(Ok("start".to_owned()), |value| read::text(&at_action, value))?;
    if !ACTIONS.contains(&action.as_str()) {
        return Err(at_action.refuse(format!("is `{action}`; write `{}`", ACTIONS.join("`, `"))));
    }
    Ok(Environment { name: name(&at, read::text(&at, value)?)?, url, action })
}

/// GitLab's `environment_name_regex` before variables are replaced: also `$`, `{` and `}`.
fn name(place: &Place<'_>, name: String) -> Result<String, CiError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_/${}. ".contains(c);
    if name.chars().all(allowed) && !name.starts_with('/') && !name.ends_with('/') {
        return Ok(name);
    }
    Err(place.refuse(format!(
        "is `{name}`; write letters, digits, spaces, `-`, `_`, `/`, `$`, `{{`, `}}` and `.`, and no `/` at the ends"
    )))
}

/// A map of variables to their tokens.
pub(super) fn id_tokens(place: &Place<'_>, value: &Value) -> Result<Vec<IdToken>, CiError> {
    let token = |(key, value): &(Value, Value)| {
        let variable = variables::key(place, key)?;
        let place = place.below(&variable);
        let map = read::map(&place, value)?;
        read::only_keys(&place, map, &["aud"])?;
        let place = place.below("aud");
        let aud = map.get("aud").ok_or_else(|| place.refuse("is missing; name the audience"))?;
        let audiences = match aud {
            Value::List(_) => read::texts(&place, aud)?,
            one => vec![read::text(&place, one)?],
        };
        if audiences.is_empty() {
            return Err(place.refuse("is empty; name the audience"));
        }
        Ok(IdToken { variable, audiences, listed: matches!(aud, Value::List(_)) })
    };
    read::map(place, value)?.iter().map(token).collect()
}
