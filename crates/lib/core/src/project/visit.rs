//! A visit: what the listing of a project and a look at its hook came to, and what follows.

use serde::{Deserialize, Serialize};

use super::{Class, Health, ProjectRow};
use crate::change::{Due, Plan, put};
use crate::limits;
use crate::time::{Millis, Timestamp};

/// What an operator is told of a project, once until it is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trouble {
    /// GitLab switched its hook off, or leaves it out.
    HookDisabled,
    /// It has no hook that would tell us of jobs.
    HookMissing,
    /// Its jobs wait and no hook comes.
    HookSilent,
    /// GitLab does not list its jobs to the API token: the promise does not reach it.
    Unlisted,
}

impl Trouble {
    /// Its metric.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::HookDisabled => "HooksDisabled",
            Self::HookMissing => "HooksMissing",
            Self::HookSilent => "HooksSilent",
            Self::Unlisted => "ProjectsUnlisted",
        }
    }
}

/// What the pages of a visit showed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pages {
    /// How many pending jobs.
    pub open: usize,
    /// When the job became pending that waits longest of those whose hook should have come by now and of which nothing was
    /// known.
    pub unheard: Option<Timestamp>,
    /// The project's path as GitLab says it.
    pub path: Option<String>,
}

/// What a listing came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listed {
    /// It got to its end.
    Whole,
    /// It goes on at this cursor: the run's calls or its time were over.
    Part(String),
    /// There is no such project, or the token may not see its jobs.
    Refused,
    /// A page was not answered. It goes on where it stood.
    Failed,
    /// GitLab does not know the cursor any more: it begins again.
    Again,
}

/// What a visit saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// When it began.
    pub at: Timestamp,
    /// What its pages showed.
    pub pages: Pages,
    /// What it came to.
    pub listed: Listed,
    /// Where a listing that failed stood: behind its last page that was read.
    pub cursor: Option<String>,
    /// How the hook stands, if it was looked at.
    pub hook: Option<Health>,
}

/// What follows from a visit.
#[derive(Clone, Debug, PartialEq)]
pub struct Visited {
    /// The project's row.
    pub plan: Plan,
    /// What the operator is told now.
    pub tell: Vec<Trouble>,
    /// How its hook stands, as far as it is known.
    pub hook: Health,
    /// When it is visited next; `None` for a project that is gone.
    pub next: Option<Timestamp>,
}

/// Whether the visit is to look at the project's hook: once an hour, and soon when a job's hook did not come.
#[must_use]
pub fn looks_at_hook(row: &ProjectRow, pages: &Pages, now: Timestamp) -> bool {
    let Some(at) = row.next_hook_check_at else { return true };
    // It was looked at when the next look was set.
    let suspicious = pages.unheard.is_some() && now >= at - limits::HOOK_CHECK + limits::HOOK_CHECK_SUSPECT;
    now >= at || suspicious
}

/// Decides.
#[must_use]
pub fn visited(row: &ProjectRow, seen: &Seen, now: Timestamp) -> Visited {
    let mut after = row.clone();
    if let Some(path) = seen.pages.path.as_ref().filter(|path| !path.is_empty()) {
        after.path.clone_from(path);
    }
    if seen.pages.open > 0 {
        after.open_seen = Some(now);
    }
    hear(&mut after, &seen.pages);
    if let Some(health) = seen.hook {
        after.hook = health;
        after.next_hook_check_at = Some(now + limits::HOOK_CHECK);
    }
    let why = go_on(&mut after, row, seen, now);
    let tell = judge(&mut after, seen, now);
    let (hook, next) = (after.hook, after.due.next_check_at);
    Visited { plan: Plan::because(why).with_some(put(Some(row), after)), tell, hook, next }
}

/// Since when a job waits unheard of. A hook that came later heals it. One job that became pending while a hook of the
/// project may still have been noted as seen proves nothing.
fn hear(after: &mut ProjectRow, pages: &Pages) {
    let known_until = after.hook_seen.map(|seen| seen + limits::NOTE_EVERY);
    if after.unheard_since.is_some_and(|since| after.hook_seen > Some(since)) {
        after.unheard_since = None;
    }
    let since = pages.unheard.filter(|since| known_until.is_none_or(|until| *since >= until));
    if let Some(since) = since {
        after.unheard_since = Some(after.unheard_since.map_or(since, |old| old.min(since)));
    }
}

/// When and where the listing goes on.
fn go_on(after: &mut ProjectRow, before: &ProjectRow, seen: &Seen, now: Timestamp) -> &'static str {
    let began = before.began_at.unwrap_or(seen.at);
    let interval = after.class(now).interval();
    let stays = before.due.next_check_at.unwrap_or(now).min(now);
    let (cursor, at, why) = match &seen.listed {
        Listed::Whole => {
            after.visited_at = Some(now);
            (None, began + interval, "its pending jobs were listed")
        }
        // Its place in the order is kept: the next run begins with it.
        Listed::Part(cursor) => (Some(cursor.clone()), stays, "its listing goes on with the next run"),
        Listed::Again => (None, stays, "its listing begins again with the next run"),
        Listed::Failed => {
            (seen.cursor.clone(), now + limits::VISIT_RETRY, "its listing failed, and goes on where it stood")
        }
        Listed::Refused if is_gone(after, now) => {
            after.due = Due::never();
            after.expires_at = Some((now + limits::KEEP_CLOSED_ROWS).epoch_secs());
            after.began_at = None;
            after.cursor = None;
            return "GitLab has not shown the project for long: it is forgotten";
        }
        Listed::Refused => (None, now + Class::Idle.interval(), "GitLab does not list its jobs to the API token"),
    };
    let unfinished = matches!(seen.listed, Listed::Part(_) | Listed::Failed | Listed::Again);
    after.began_at = unfinished.then_some(began);
    after.cursor = cursor;
    after.due_at(at);
    why
}

/// A project that GitLab does not show and of which nothing was heard for as long as rows are kept.
fn is_gone(row: &ProjectRow, now: Timestamp) -> bool {
    let last = row.hook_seen.max(row.visited_at);
    last.is_some_and(|last| now - last > limits::KEEP_CLOSED_ROWS)
}

/// Which troubles there are, and which of them are news.
fn judge(after: &mut ProjectRow, seen: &Seen, now: Timestamp) -> Vec<Trouble> {
    // A group's hook, or one by another address, does the work as well: hooks that come are the better proof.
    let heard = after.hook_seen.is_some_and(|at| now - at < limits::HEARD_FOR);
    let silent = after.unheard_since.is_some_and(|since| now - since >= limits::HOOK_SILENCE);
    let unlisted = match seen.listed {
        Listed::Refused => Some(true),
        Listed::Whole | Listed::Part(_) => Some(false),
        Listed::Failed | Listed::Again => None,
    };
    let hook = after.hook;
    let missing = matches!(hook, Health::Missing | Health::NoJobEvents) && !heard;
    let disabled = matches!(hook, Health::Disabled | Health::Suspended);
    // Of a hook whose state is not known, nothing changes.
    let known = |is: bool| (hook != Health::Unknown).then_some(is);
    let mut news = Vec::new();
    for (trouble, is) in [
        (Trouble::HookDisabled, known(disabled)),
        (Trouble::HookMissing, known(missing)),
        // Its cause, when it is known, was told.
        (Trouble::HookSilent, Some(silent && !missing && !disabled)),
        (Trouble::Unlisted, unlisted),
    ] {
        match is {
            Some(true) => news.extend(after.told.insert(trouble).then_some(trouble)),
            Some(false) => drop(after.told.remove(&trouble)),
            None => {}
        }
    }
    news
}

/// How long a due project has been waiting for its listing to get to its end.
#[must_use]
pub fn overdue(row: &ProjectRow, now: Timestamp) -> Millis {
    let since = row.began_at.into_iter().chain(row.due.next_check_at).min();
    since.map_or(Millis(0), |since| Millis((now - since).0.max(0)))
}

/// How long after it became pending a job's hook should have come.
#[must_use]
pub const fn is_unheard(waited: Millis) -> bool {
    waited.0 >= limits::HOOK_GRACE.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::moves::testing::{T0, secs};
    use crate::project::testing::{row_of, seen_at};

    fn seen(listed: Listed, at: Timestamp) -> Seen {
        Seen { at, pages: Pages::default(), listed, cursor: None, hook: None }
    }

    fn unheard(since: Timestamp, at: Timestamp) -> Seen {
        let pages = Pages { open: 1, unheard: Some(since), path: None };
        Seen { pages, ..seen(Listed::Whole, at) }
    }

    fn with_hook(health: Health, at: Timestamp) -> Seen {
        Seen { hook: Some(health), ..seen(Listed::Whole, at) }
    }

    #[test]
    fn the_next_visit_is_counted_from_the_begin_of_this_one() {
        let row = seen_at(T0);
        let whole = visited(&row, &seen(Listed::Whole, secs(60)), secs(63));
        assert_eq!(whole.next, Some(secs(60) + Class::Active.interval()));
        let part = visited(&row, &seen(Listed::Part("c1".into()), secs(60)), secs(63));
        let part = row_of(&part.plan);
        assert_eq!((part.cursor.as_deref(), part.began_at, part.visited_at), (Some("c1"), Some(secs(60)), None));
        assert!(part.due.next_check_at <= Some(secs(63)), "it is due at once");
        let rest = row_of(&visited(&part, &seen(Listed::Whole, secs(120)), secs(121)).plan);
        assert_eq!((rest.cursor, rest.began_at, rest.visited_at), (None, None, Some(secs(121))));
        assert_eq!(rest.due.next_check_at, Some(secs(60) + Class::Active.interval()));
    }

    #[test]
    fn a_page_that_failed_is_asked_for_again_and_nothing_is_taken_for_seen() {
        let row = ProjectRow { cursor: Some("c1".into()), began_at: Some(secs(1)), ..seen_at(T0) };
        let failed = Seen { cursor: Some("c2".into()), ..seen(Listed::Failed, secs(60)) };
        let after = visited(&row, &failed, secs(61));
        assert!(after.tell.is_empty());
        let after = row_of(&after.plan);
        assert_eq!((after.cursor.as_deref(), after.began_at, after.visited_at), (Some("c2"), Some(secs(1)), None));
        assert_eq!(after.due.next_check_at, Some(secs(61) + limits::VISIT_RETRY));
        let again = row_of(&visited(&row, &seen(Listed::Again, secs(60)), secs(61)).plan);
        assert_eq!((again.cursor, again.began_at), (None, Some(secs(1))), "it is as late as before");
        assert!(again.due.next_check_at <= Some(secs(61)));
    }

    #[test]
    fn a_disabled_hook_is_told_once_and_again_after_it_was_mended() {
        let row = seen_at(T0);
        let first = visited(&row, &with_hook(Health::Disabled, secs(60)), secs(60));
        assert_eq!(first.tell, [Trouble::HookDisabled]);
        let row = row_of(&first.plan);
        assert_eq!(visited(&row, &with_hook(Health::Suspended, secs(90)), secs(90)).tell, []);
        assert_eq!(visited(&row, &with_hook(Health::Unknown, secs(90)), secs(90)).tell, [], "unknown heals nothing");
        let unknown = row_of(&visited(&row, &with_hook(Health::Unknown, secs(90)), secs(90)).plan);
        assert_eq!(visited(&unknown, &with_hook(Health::Disabled, secs(95)), secs(95)).tell, []);
        let mended = row_of(&visited(&row, &with_hook(Health::Works, secs(99)), secs(99)).plan);
        assert!(mended.told.is_empty());
        assert_eq!(visited(&mended, &with_hook(Health::Disabled, secs(100)), secs(100)).tell, [Trouble::HookDisabled]);
    }

    #[test]
    fn a_missing_hook_is_no_trouble_while_hooks_come() {
        for health in [Health::Missing, Health::NoJobEvents] {
            let row = seen_at(T0);
            assert_eq!(visited(&row, &with_hook(health, secs(60)), secs(60)).tell, [], "a group's hook");
            let later = T0 + limits::HEARD_FOR;
            assert_eq!(visited(&row, &with_hook(health, later), later).tell, [Trouble::HookMissing]);
            let named = ProjectRow { hook_seen: None, ..row };
            assert_eq!(visited(&named, &with_hook(health, secs(60)), secs(60)).tell, [Trouble::HookMissing]);
        }
    }

    #[test]
    fn silence_is_told_once_and_a_hook_ends_it() {
        let row = seen_at(T0);
        let since = secs(400);
        let first = visited(&row, &unheard(since, secs(480)), secs(480));
        assert_eq!(first.tell, [], "one lost hook is no silence");
        let row = row_of(&first.plan);
        assert_eq!(row.unheard_since, Some(since));
        let at = since + limits::HOOK_SILENCE;
        let told = visited(&row, &seen(Listed::Whole, at), at);
        assert_eq!(told.tell, [Trouble::HookSilent]);
        let told = row_of(&told.plan);
        assert_eq!(visited(&told, &unheard(secs(500), at), at).tell, []);
        let heard = ProjectRow { hook_seen: Some(at), ..told };
        let healed = row_of(&visited(&heard, &seen(Listed::Whole, at), at).plan);
        assert_eq!((healed.unheard_since, healed.told.is_empty()), (None, true));
    }

    #[test]
    fn a_hook_that_is_not_noted_each_time_is_not_taken_for_silence() {
        let row = seen_at(T0);
        let within = T0 + limits::NOTE_EVERY - Millis(1);
        assert_eq!(row_of(&visited(&row, &unheard(within, secs(400)), secs(400)).plan).unheard_since, None);
        let named = ProjectRow { hook_seen: None, ..row };
        assert_eq!(row_of(&visited(&named, &unheard(within, secs(400)), secs(400)).plan).unheard_since, Some(within));
    }

    #[test]
    fn a_project_that_the_token_may_not_see_is_told_and_forgotten_when_nothing_is_heard_of_it() {
        let refused = visited(&seen_at(T0), &seen(Listed::Refused, secs(60)), secs(60));
        assert_eq!(refused.tell, [Trouble::Unlisted]);
        let row = row_of(&refused.plan);
        assert_eq!(row.due.next_check_at, Some(secs(60) + Class::Idle.interval()));
        assert_eq!(visited(&row, &seen(Listed::Refused, secs(70)), secs(70)).tell, []);
        assert_eq!(row_of(&visited(&row, &seen(Listed::Failed, secs(70)), secs(70)).plan).told, row.told);
        assert!(row_of(&visited(&row, &seen(Listed::Whole, secs(70)), secs(70)).plan).told.is_empty());
        let late = T0 + limits::KEEP_CLOSED_ROWS + Millis(1);
        let gone = visited(&row, &seen(Listed::Refused, late), late);
        assert_eq!(gone.next, None);
        assert!(row_of(&gone.plan).expires_at.is_some());
    }

    #[test]
    fn hooks_are_looked_at_hourly_and_sooner_on_suspicion() {
        let row = seen_at(T0);
        assert!(looks_at_hook(&row, &Pages::default(), T0));
        let row = row_of(&visited(&row, &with_hook(Health::Works, T0), T0).plan);
        let suspicious = Pages { open: 1, unheard: Some(T0), path: None };
        let at = T0 + limits::HOOK_CHECK_SUSPECT;
        assert!(!looks_at_hook(&row, &Pages::default(), at) && looks_at_hook(&row, &suspicious, at));
        assert!(!looks_at_hook(&row, &suspicious, at - Millis(1)));
        assert!(looks_at_hook(&row, &Pages::default(), T0 + limits::HOOK_CHECK));
    }

    #[test]
    fn a_listing_that_does_not_end_grows_overdue() {
        let row = seen_at(T0);
        assert_eq!(overdue(&row, T0), Millis(0));
        let failed = row_of(&visited(&row, &seen(Listed::Failed, secs(130)), secs(131)).plan);
        let failed = row_of(&visited(&failed, &seen(Listed::Failed, secs(260)), secs(261)).plan);
        assert_eq!(overdue(&failed, secs(330)), Millis::secs(200));
    }

    #[test]
    fn a_job_is_unheard_of_when_its_hook_had_its_time() {
        assert!(!is_unheard(limits::HOOK_GRACE - Millis(1)) && is_unheard(limits::HOOK_GRACE));
    }
}
