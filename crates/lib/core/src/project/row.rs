//! Project rows: a project that is known, when a hook of it last came, and how far its listing got.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Class, Health, Trouble};
use crate::change::{Due, Plan, Row, put};
use crate::limits;
use crate::time::Timestamp;

/// The partition of the due index that project rows are in.
pub const PARTITION: &str = "projects";

/// One project of the ledger (`project#<project id>`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProjectRow {
    /// The revision, see [`crate::change`].
    pub rev: u64,
    /// GitLab's project id.
    pub project_id: u64,
    /// Its full path, as a hook, the operator or GitLab last told it; empty when nobody did.
    pub path: String,
    /// When a hook of it last came. Kept within [`limits::NOTE_EVERY`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hook_seen: Option<Timestamp>,
    /// When the listing last showed a pending job of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_seen: Option<Timestamp>,
    /// When its pending jobs were last listed to the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visited_at: Option<Timestamp>,
    /// When the listing began that did not get to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began_at: Option<Timestamp>,
    /// Where that listing goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// How its hook stood when it was last looked at.
    #[serde(default)]
    pub hook: Health,
    /// When its hook is looked at again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_hook_check_at: Option<Timestamp>,
    /// Since when a job is pending whose hook should have come and did not; no later hook came either.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unheard_since: Option<Timestamp>,
    /// What the operator was told and is not over.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub told: BTreeSet<Trouble>,
    /// When it is listed next.
    #[serde(flatten)]
    pub due: Due,
    /// When DynamoDB may delete the row (s since the epoch); only on projects that are gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<i64>,
    /// Attributes of a newer release: kept as they are.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl ProjectRow {
    fn new(project_id: u64, path: &str) -> Self {
        Self {
            rev: 0,
            project_id,
            path: path.to_owned(),
            hook_seen: None,
            open_seen: None,
            visited_at: None,
            began_at: None,
            cursor: None,
            hook: Health::Unknown,
            next_hook_check_at: None,
            unheard_since: None,
            told: BTreeSet::new(),
            due: Due::never(),
            expires_at: None,
            extra: Map::new(),
        }
    }

    /// How lively the project is.
    #[must_use]
    pub fn class(&self, now: Timestamp) -> Class {
        let last = self.hook_seen.max(self.open_seen);
        match last.map(|last| now - last) {
            Some(since) if since <= limits::ACTIVE_FOR => Class::Active,
            Some(since) if since <= limits::QUIET_FOR => Class::Quiet,
            _ => Class::Idle,
        }
    }

    pub(super) fn due_at(&mut self, at: Timestamp) {
        self.due = Due::in_partition(PARTITION, at);
        self.expires_at = None;
    }
}

impl Row for ProjectRow {
    fn pk(&self) -> String {
        project_pk(self.project_id)
    }
    fn rev(&self) -> u64 {
        self.rev
    }
    fn set_rev(&mut self, rev: u64) {
        self.rev = rev;
    }
}

/// The project's row.
#[must_use]
pub fn project_pk(project_id: u64) -> String {
    format!("project#{project_id}")
}

/// The project of a row's key.
#[must_use]
pub fn project_of(pk: &str) -> Option<u64> {
    pk.strip_prefix("project#")?.parse().ok()
}

/// A hook of the project came. `None` when the row says so already, within [`limits::NOTE_EVERY`]: most hooks write nothing.
#[must_use]
pub fn heard(row: Option<&ProjectRow>, project_id: u64, path: &str, now: Timestamp) -> Option<Plan> {
    if row.and_then(|row| row.hook_seen).is_some_and(|seen| now < seen + limits::NOTE_EVERY) {
        return None;
    }
    let mut after = row.cloned().unwrap_or_else(|| ProjectRow::new(project_id, path));
    path.clone_into(&mut after.path);
    after.hook_seen = Some(now);
    // An idle project woke up: it is not left to its old time.
    let at = now + Class::Active.interval();
    after.due_at(after.due.next_check_at.map_or(at, |old| old.min(at)));
    Some(Plan::because("a hook of the project came").with_some(put(row, after)))
}

/// The operator names a project whose hooks may never come; it is listed at once.
#[must_use]
pub fn add(row: Option<&ProjectRow>, project_id: u64, path: &str, now: Timestamp) -> Plan {
    let mut after = row.cloned().unwrap_or_else(|| ProjectRow::new(project_id, path));
    if !path.is_empty() {
        path.clone_into(&mut after.path);
    }
    after.due_at(now);
    Plan::because("the operator named the project").with_some(put(row, after))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::moves::testing::{T0, secs};
    use crate::project::testing::{row_of, seen_at};
    use crate::time::Millis;

    #[test]
    fn a_project_becomes_known_by_its_first_hook_and_is_written_seldom() {
        let row = row_of(&heard(None, 41, "acme/widget", T0).unwrap());
        assert_eq!((row.project_id, row.path.as_str(), row.hook_seen), (41, "acme/widget", Some(T0)));
        assert_eq!((row.due.open.as_deref(), row.due.next_check_at), (Some(PARTITION), Some(T0 + Millis::minutes(2))));
        let touch = |ms| heard(Some(&row), 41, "acme/widget", T0 + Millis(ms));
        assert_eq!(touch(limits::NOTE_EVERY.0 - 1), None);
        let again = row_of(&touch(limits::NOTE_EVERY.0).unwrap());
        assert_eq!((again.rev, again.hook_seen), (2, Some(T0 + limits::NOTE_EVERY)));
        assert_eq!(again.due, row.due, "a visit that is near is not put off by hooks");
    }

    #[test]
    fn a_hook_wakes_an_idle_project() {
        let mut idle = seen_at(T0);
        idle.due_at(secs(600_000));
        let woken = row_of(&heard(Some(&idle), 41, "acme/widget", secs(590_000)).unwrap());
        assert_eq!(woken.due.next_check_at, Some(secs(590_120)));
    }

    #[test]
    fn a_named_project_is_listed_at_once_and_keeps_what_is_known() {
        let named = row_of(&add(None, 41, "acme/widget", T0));
        assert_eq!((named.due.next_check_at, named.hook_seen, named.class(T0)), (Some(T0), None, Class::Idle));
        let known = row_of(&add(Some(&seen_at(T0)), 41, "", secs(9)));
        assert_eq!((known.path.as_str(), known.hook_seen), ("acme/widget", Some(T0)));
    }

    #[test]
    fn a_project_grows_quiet_and_idle() {
        let row = seen_at(T0);
        assert_eq!(row.class(T0 + limits::ACTIVE_FOR), Class::Active);
        assert_eq!(row.class(T0 + limits::ACTIVE_FOR + Millis(1)), Class::Quiet);
        assert_eq!(row.class(T0 + limits::QUIET_FOR + Millis(1)), Class::Idle);
        let open = ProjectRow { open_seen: Some(T0 + limits::QUIET_FOR), ..row };
        assert_eq!(open.class(T0 + limits::QUIET_FOR + Millis(1)), Class::Active);
    }
}
