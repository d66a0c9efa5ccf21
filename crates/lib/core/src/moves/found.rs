//! Found: a pending job that GitLab's listing shows and of which no hook told.

use crate::change::{Plan, put};
use crate::job::{JobEvent, JobRow};
use crate::lane::TagSet;
use crate::moves::record::{Recorded, apply, record};
use crate::time::Timestamp;

/// Decides what a pending job of the listing changes. One that is known is treated as by its hook, sent again. A new one
/// gets the row that its hook would have made, with the tags, which no hook tells; and it is due at once, because nobody
/// announces it.
///
/// Its age plays no part: that GitLab lists it is no old message.
#[must_use]
pub fn found(existing: Option<&JobRow>, event: &JobEvent, tags: Option<TagSet>, now: Timestamp) -> Recorded {
    if existing.is_some() {
        return record(existing, event, now);
    }
    let (mut after, announce) = apply(&JobRow::new(event.key, now), event, now);
    after.tags = tags;
    if after.due.next_check_at.is_some() {
        after.due_at(now);
        after.reason = "pending, and found by the listing".to_owned();
    }
    Recorded { plan: Plan::because(after.reason.clone()).with_some(put(None, after)), announce, learn: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::JobState;
    use crate::moves::testing::{T0, event, job_of, secs};
    use crate::time::Millis;

    #[test]
    fn a_job_without_a_hook_gets_its_row_and_is_due_at_once() {
        let tags = TagSet::new(["arm"]).unwrap();
        let found = found(None, &event("pending"), Some(tags.clone()), secs(9));
        let row = job_of(&found.plan);
        assert_eq!((row.state, row.due.next_check_at, row.tags), (JobState::Waiting, Some(secs(9)), Some(tags)));
        assert_eq!((row.facts.name.as_str(), row.created_at), ("unit", Some(T0)));
    }

    #[test]
    fn a_job_that_is_known_is_left_as_it_is() {
        let row = job_of(&record(None, &event("pending"), T0).plan);
        assert!(found(Some(&row), &event("pending"), None, secs(9)).plan.changes.is_empty());
        let ended = job_of(&record(None, &event("canceled"), T0).plan);
        assert!(found(Some(&ended), &event("pending"), None, secs(9)).plan.changes.is_empty(), "a list of before");
    }

    #[test]
    fn a_manual_job_that_is_started_after_weeks_is_found() {
        let mut old = event("pending");
        old.created_at = Some(T0 - Millis::days(30));
        assert!(record(None, &old, T0).plan.changes.is_empty(), "its hook could be an old message");
        assert_eq!(job_of(&found(None, &old, None, T0).plan).state, JobState::Waiting);
    }
}
