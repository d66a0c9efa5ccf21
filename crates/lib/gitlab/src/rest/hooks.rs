//! A project's webhooks.

use runnerless_core::project::{Alert, Hook};
use serde::Deserialize;
use serde_json::Value;

use super::error::RestError;
use super::link::goes_on;
use crate::protocol::Answer;
use crate::webhook::time;

/// Method and path, for errors.
pub(super) const OPERATION: &str = "GET projects/:id/hooks";
/// One page: GitLab.com allows a project a hundred hooks.
pub(super) const QUERY: &str = "per_page=100";

/// A project's webhooks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hooks {
    /// The hooks; their secrets are never shown.
    pub hooks: Vec<Hook>,
    /// Whether these are all.
    pub complete: bool,
}

#[derive(Deserialize)]
struct WireHook {
    url: String,
    #[serde(default)]
    job_events: bool,
    #[serde(default)]
    alert_status: Option<String>,
    #[serde(default)]
    disabled_until: Value,
}

/// Reads an answer.
pub(super) fn read(answer: &Answer) -> Result<Option<Hooks>, RestError> {
    match answer.status.as_u16() {
        200 => {}
        404 => return Ok(None),
        _ => return Err(super::api::refused(answer)),
    }
    let wire: Vec<WireHook> = serde_json::from_slice(&answer.body)
        .map_err(|source| RestError::Unreadable { operation: OPERATION, source })?;
    let hooks = wire.into_iter().map(|hook| Hook {
        alert: hook.alert_status.as_deref().map_or(Alert::Unknown, Alert::parse),
        disabled_until: time(&hook.disabled_until),
        url: hook.url,
        job_events: hook.job_events,
    });
    Ok(Some(Hooks { hooks: hooks.collect(), complete: !goes_on(&answer.headers) }))
}
