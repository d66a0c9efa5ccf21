//! Record: what a hook says becomes the job's row, before anybody is told.

use crate::change::{Change, Plan, put};
use crate::job::{JobEvent, JobRow, JobState};
use crate::limits;
use crate::route::Learned;
use crate::status::JobStatus;
use crate::time::Timestamp;

/// Whom to tell once the row is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Announce {
    /// The job waits and nobody is charged with it.
    Pending,
    /// The job is over and its launch is not known to be gone.
    Finished,
}

/// What to store and whom to tell.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    /// The write; empty when the hook tells nothing new. Its reason is for the log.
    pub plan: Plan,
    /// Told after the write, and again for a repeated hook while there is still something to do.
    pub announce: Option<Announce>,
    /// What the default route is to remember of this job; written without a condition, the newest is the truth.
    pub learn: Option<Learned>,
}

/// Whether a hook with this status may say anything to a row, whatever that holds. A job before its `pending` has none, and
/// rows only climb: such a hook is worth no read.
#[must_use]
pub const fn concerns_rows(status: &JobStatus) -> bool {
    status.rank() >= JobStatus::Pending.rank()
}

/// Decides what a hook changes. Statuses only climb (see [`JobStatus::rank`]): deliveries come late, twice and in any
/// order, and each order of the same hooks ends in the same row.
#[must_use]
pub fn record(existing: Option<&JobRow>, event: &JobEvent, now: Timestamp) -> Recorded {
    match existing {
        None => record_new(event, now),
        Some(row) if event.status.rank() > row.gitlab_status.rank() => climb(row, event, now),
        Some(row) => repeat(row, event),
    }
}

fn nothing(reason: impl Into<String>) -> Recorded {
    Recorded { plan: Plan::because(reason), announce: None, learn: None }
}

fn record_new(event: &JobEvent, now: Timestamp) -> Recorded {
    // An ended job is stored although nothing is left to do: the row keeps a late `pending` from launching for it.
    let acts =
        matches!(event.status, JobStatus::Pending | JobStatus::Running | JobStatus::Canceling | JobStatus::Ended(_));
    if !acts {
        return nothing(format!("status {} needs no action", event.status));
    }
    if is_older_than_rows(event, now) {
        return nothing("the job was created longer ago than rows are kept: an old message sent again");
    }
    let row = JobRow::new(event.key, now);
    let (after, announce) = apply(&row, event, now);
    stored(put(None, after.clone()), &row, &after, announce, now)
}

fn is_older_than_rows(event: &JobEvent, now: Timestamp) -> bool {
    event.created_at.is_some_and(|created| now - created > limits::KEEP_CLOSED_ROWS)
}

fn climb(row: &JobRow, event: &JobEvent, now: Timestamp) -> Recorded {
    let (after, announce) = apply(row, event, now);
    stored(put(Some(row), after.clone()), row, &after, announce, now)
}

fn stored(
    change: Option<Change>,
    before: &JobRow,
    after: &JobRow,
    announce: Option<Announce>,
    now: Timestamp,
) -> Recorded {
    Recorded {
        plan: Plan::because(after.reason.clone()).with_some(change),
        announce,
        learn: learned(before, after, now),
    }
}

/// A job of the default route that ended without ever having a launch of ours was a foreign runner's. Its `running` hook
/// alone does not say so: it may be faster than our own binding.
fn learned(before: &JobRow, after: &JobRow, now: Timestamp) -> Option<Learned> {
    let foreign = before.state == JobState::Foreign && before.by_default && before.launch.is_none();
    (foreign && after.state == JobState::Ended).then(|| Learned::new(after.key(), &after.facts.name, now))
}

/// A hook that tells nothing new is announced again while its work is undone: the first announcement may be lost.
fn repeat(row: &JobRow, event: &JobEvent) -> Recorded {
    let announce = match event.status {
        JobStatus::Pending if row.gitlab_status == JobStatus::Pending && row.state == JobState::Waiting => {
            Some(Announce::Pending)
        }
        JobStatus::Ended(_) if row.due.next_check_at.is_some() => Some(Announce::Finished),
        _ => None,
    };
    let reason = format!("status {} after {}: nothing new", event.status, row.gitlab_status);
    Recorded { plan: Plan::because(reason), announce, learn: None }
}

pub(super) fn apply(row: &JobRow, event: &JobEvent, now: Timestamp) -> (JobRow, Option<Announce>) {
    let mut after = row.clone();
    after.gitlab_status = event.status.clone();
    after.facts = event.facts.clone();
    after.created_at = event.created_at.or(row.created_at);
    after.runner = event.runner.map(|runner| runner.id).or(row.runner);
    let announce = match event.status {
        JobStatus::Pending => wait(&mut after, now),
        JobStatus::Running | JobStatus::Canceling => {
            run(&mut after, event.runner.is_some_and(|runner| runner.ours), now)
        }
        JobStatus::Ended(name) => end(&mut after, name, now),
        JobStatus::Created | JobStatus::Held(_) | JobStatus::Unknown(_) => None,
    };
    (after, announce)
}

fn wait(after: &mut JobRow, now: Timestamp) -> Option<Announce> {
    // A runner can be ahead of the hook: its binding stands.
    if after.state == JobState::Bound {
        return None;
    }
    after.enter(JobState::Waiting, now, "pending");
    after.due_at(now + limits::CHARGE_GRACE);
    Some(Announce::Pending)
}

fn run(after: &mut JobRow, on_ours: bool, now: Timestamp) -> Option<Announce> {
    if after.state == JobState::Bound {
        return None;
    }
    // The charge is not stopped: its launch serves another job or ends itself. A late binding of ours overrides.
    after.charge = None;
    if on_ours {
        after.enter(JobState::Foreign, now, "our runner has it, and no launch is bound to it yet");
        // Nothing is to be learned from its end.
        after.by_default = false;
        after.due_at(now);
    } else {
        after.enter(JobState::Foreign, now, "running without a binding of ours");
        after.retire(now);
    }
    None
}

fn end(after: &mut JobRow, name: &str, now: Timestamp) -> Option<Announce> {
    after.charge = None;
    after.enter(JobState::Ended, now, format!("ended as {name}"));
    if after.launch.is_none() {
        after.retire(now);
        return None;
    }
    after.due_at(now + limits::SETTLE_CHECK);
    Some(Announce::Finished)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::moves::testing::{T0, apply_to_job, event, job_of, secs};

    #[test]
    fn a_pending_job_is_stored_due_and_announced() {
        let recorded = record(None, &event("pending"), T0);
        let row = job_of(&recorded.plan);
        assert_eq!(row.state, JobState::Waiting);
        assert_eq!(row.due.next_check_at, Some(T0 + limits::CHARGE_GRACE));
        assert_eq!(recorded.announce, Some(Announce::Pending));
    }

    #[test]
    fn statuses_that_need_no_action_store_nothing() {
        for status in ["created", "manual", "waiting_for_resource", "brand_new"] {
            let recorded = record(None, &event(status), T0);
            assert!(recorded.plan.changes.is_empty() && recorded.announce.is_none(), "{status}");
        }
    }

    #[test]
    fn every_order_of_one_jobs_hooks_ends_in_the_same_row() {
        let life = ["created", "pending", "running", "success"];
        for order in permutations(&life) {
            let mut row = None;
            for status in &order {
                let plan = record(row.as_ref(), &event(status), T0).plan;
                row = apply_to_job(row, &plan);
            }
            let row = row.expect("something was stored");
            assert_eq!(row.gitlab_status, JobStatus::Ended("success"), "{order:?}");
            assert_eq!(row.state, JobState::Ended, "{order:?}");
            assert!(row.due.next_check_at.is_none(), "{order:?}: nothing is left to do");
        }
    }

    #[test]
    fn a_job_that_our_runner_has_and_no_launch_bound_is_looked_at_and_teaches_nothing() {
        let on = |ours| JobEvent { runner: Some(crate::job::Taker { id: 7, ours }), ..event("running") };
        let pending = apply_to_job(None, &record(None, &event("pending"), T0).plan).unwrap();
        let pending = JobRow { by_default: true, ..pending };
        let row = job_of(&record(Some(&pending), &on(true), secs(1)).plan);
        assert_eq!((row.state, row.due.next_check_at, row.runner), (JobState::Foreign, Some(secs(1)), Some(7)));
        let ended = record(Some(&row), &event("failed"), secs(9));
        assert!(ended.learn.is_none(), "our own runner is nobody to learn from");
        let theirs = job_of(&record(Some(&pending), &on(false), secs(1)).plan);
        assert_eq!((theirs.state, theirs.due.next_check_at), (JobState::Foreign, None));
        assert!(record(Some(&theirs), &event("failed"), secs(9)).learn.is_some());
    }

    #[test]
    fn doubled_and_late_hooks_move_nothing_back() {
        let order = ["pending", "running", "pending", "success", "running", "pending", "success", "created"];
        let (mut row, mut rank) = (None, 0);
        for status in order {
            let plan = record(row.as_ref(), &event(status), T0).plan;
            row = apply_to_job(row, &plan);
            let now = row.as_ref().map_or(0, |row: &JobRow| row.gitlab_status.rank());
            assert!(now >= rank, "{status} moved the row back");
            rank = now;
        }
    }

    #[test]
    fn an_announcement_is_repeated_only_while_its_work_is_undone() {
        let row = job_of(&record(None, &event("pending"), T0).plan);
        assert_eq!(record(Some(&row), &event("pending"), secs(5)).announce, Some(Announce::Pending));
        let charged = JobRow { state: JobState::Charged, ..row };
        assert_eq!(record(Some(&charged), &event("pending"), secs(5)).announce, None);
    }

    #[test]
    fn a_job_that_ended_before_its_pending_arrived_is_never_launched() {
        let row = job_of(&record(None, &event("canceled"), T0).plan);
        let late = record(Some(&row), &event("pending"), secs(1));
        assert!(late.plan.changes.is_empty() && late.announce.is_none());
    }

    #[test]
    fn the_resend_of_a_month_old_pending_is_counted_not_launched() {
        let mut old = event("pending");
        old.created_at = Some(T0 - crate::time::Millis::days(30));
        let recorded = record(None, &old, T0);
        assert!(recorded.plan.changes.is_empty() && recorded.announce.is_none());
        assert!(recorded.plan.reason.contains("sent again"), "{}", recorded.plan.reason);
    }

    #[test]
    fn a_running_hook_without_a_binding_is_a_foreign_runners_and_frees_the_charge() {
        let row = job_of(&record(None, &event("pending"), T0).plan);
        let charged = JobRow { state: JobState::Charged, charge: Some(crate::id::LaunchId::new("l-1")), ..row };
        let recorded = record(Some(&charged), &event("running"), secs(2));
        let after = job_of(&recorded.plan);
        assert_eq!((after.state, after.charge), (JobState::Foreign, None));
        assert_eq!(recorded.learn, None, "a row of the mapping led here: nothing is learned");
        let by_default = JobRow { by_default: true, ..charged };
        let running = record(Some(&by_default), &event("running"), secs(2));
        assert_eq!(running.learn, None, "our own binding may be slower than the hook");
        let running = job_of(&running.plan);
        let learned = record(Some(&running), &event("success"), secs(9)).learn.expect("the default route learns");
        assert_eq!(learned.name, "unit");
        let ours = JobRow { launch: Some(crate::id::LaunchId::new("l-1")), ..running };
        assert_eq!(record(Some(&ours), &event("success"), secs(9)).learn, None);
    }

    fn permutations<'a>(items: &[&'a str]) -> Vec<Vec<&'a str>> {
        if items.is_empty() {
            return vec![vec![]];
        }
        let mut all = Vec::new();
        for (at, first) in items.iter().enumerate() {
            let rest: Vec<&str> = items.iter().enumerate().filter(|(i, _)| *i != at).map(|(_, s)| *s).collect();
            all.extend(permutations(&rest).into_iter().map(|mut tail| {
                tail.insert(0, first);
                tail
            }));
        }
        all
    }
}
