//! The state of several jobs together: of a pipeline, of the stages before a job, of what a job needs.
//!
//! The rule is GitLab's `Gitlab::Ci::Status::Composite`, in its order.

use crate::world::status::Status;

/// A job as the rule sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Seen {
    Plain(Status),
    /// Failed or cancelled, and forgiven.
    SuccessWithWarnings,
    /// Manual, and the pipeline goes on without it.
    Ignored,
}

fn seen(status: Status, allow_failure: bool) -> Seen {
    match (status, allow_failure) {
        (Status::Failed | Status::Canceled, true) => Seen::SuccessWithWarnings,
        (Status::Manual, true) => Seen::Ignored,
        (plain, _) => Seen::Plain(plain),
    }
}

/// The common state; `None` for no jobs. `needs` selects the stricter reading for `needs:`.
pub(crate) fn composite(jobs: &[(Status, bool)], needs: bool) -> Option<Status> {
    if jobs.is_empty() {
        return None;
    }
    let set: Vec<Seen> = jobs.iter().map(|(status, allowed)| seen(*status, *allowed)).collect();
    let any = |wanted: &[Status]| set.iter().any(|item| matches!(item, Seen::Plain(status) if wanted.contains(status)));
    let plain_in = |item: &Seen, wanted: &[Status]| match item {
        Seen::Plain(status) => wanted.contains(status),
        Seen::SuccessWithWarnings | Seen::Ignored => true,
    };
    let only = |wanted: &[Status]| set.iter().all(|item| plain_in(item, wanted));
    let all_ignored_or_skipped = set.iter().all(|item| matches!(item, Seen::Plain(Status::Skipped) | Seen::Ignored));
    if needs && set.iter().any(|item| matches!(item, Seen::Plain(Status::Skipped) | Seen::Ignored)) {
        // A needed job that never runs takes its dependents with it.
        return Some(Status::Skipped);
    }
    if needs && !set.iter().all(|item| is_complete(*item)) {
        return Some(Status::Pending);
    }
    Some(if all_ignored_or_skipped {
        Status::Skipped
    } else if only(&[Status::Success, Status::Skipped]) {
        Status::Success
    } else if only(&[Status::Created]) {
        Status::Created
    } else if only(&[Status::Canceled, Status::Success, Status::Skipped]) {
        Status::Canceled
    } else if only(&[Status::Pending, Status::Created, Status::Skipped]) {
        Status::Pending
    } else if any(&[Status::Running, Status::Pending]) {
        Status::Running
    } else if any(&[Status::Canceling]) {
        Status::Canceling
    } else if any(&[Status::WaitingForResource]) {
        Status::WaitingForResource
    } else if any(&[Status::Manual]) {
        Status::Manual
    } else if any(&[Status::Scheduled]) {
        Status::Scheduled
    } else if any(&[Status::Created]) {
        Status::Running
    } else {
        Status::Failed
    })
}

fn is_complete(item: Seen) -> bool {
    match item {
        Seen::Plain(status) => status.is_completed(),
        Seen::SuccessWithWarnings | Seen::Ignored => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Status::{Canceled, Created, Failed, Manual, Pending, Running, Skipped, Success, WaitingForResource};

    #[test]
    fn pipelines() {
        for (jobs, expected) in [
            (vec![(Success, false), (Success, false)], Success),
            (vec![(Success, false), (Failed, true)], Success),
            (vec![(Success, false), (Failed, false)], Failed),
            (vec![(Success, false), (Failed, false), (Skipped, false)], Failed),
            (vec![(Success, false), (Canceled, false)], Canceled),
            (vec![(Skipped, false)], Skipped),
            (vec![(Created, false), (Pending, false)], Pending),
            (vec![(Success, false), (Created, false)], Running),
            (vec![(Success, false), (Running, false)], Running),
            (vec![(Success, false), (Manual, false), (Created, false)], Manual),
            (vec![(Success, false), (Manual, true)], Success),
            (vec![(Failed, false), (Pending, false)], Running),
            (vec![(WaitingForResource, false), (Running, false)], Running),
            (vec![(WaitingForResource, false), (Manual, false), (Created, false)], WaitingForResource),
        ] {
            assert_eq!(composite(&jobs, false), Some(expected), "{jobs:?}");
        }
        assert_eq!(composite(&[], false), None);
    }

    #[test]
    fn needs_wait_for_all_and_skip_with_a_skipped_one() {
        assert_eq!(composite(&[(Success, false), (Running, false)], true), Some(Pending));
        assert_eq!(composite(&[(Success, false), (Skipped, false)], true), Some(Skipped));
        assert_eq!(composite(&[(Success, false), (Manual, true)], true), Some(Skipped));
        assert_eq!(composite(&[(Success, false), (Failed, true)], true), Some(Success));
        assert_eq!(composite(&[(Failed, false), (Running, false)], true), Some(Pending));
    }
}
