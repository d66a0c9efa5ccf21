//! Lanes: what the sweep does for a lane whether or not a job waits in it.
//!
//! Its token is verified each hour: that finds a token that was revoked or never stored before a job does, and keeps the
//! runner online in GitLab although it asks only when it is launched. Where no API token finds jobs whose hooks were lost, a
//! sentinel asks now and then, see [`crate::moves::sentinel`]. A lane that the mapping no longer has leaves no runner
//! manager behind.

use crate::change::{Plan, Row as _, put};
use crate::id::LaneId;
use crate::lane::Engine;
use crate::lane_row::{LaneRow, RunnerRow, TokenTrouble};
use crate::launch::LaunchRow;
use crate::limits;
use crate::moves::sentinel::{Watch, watch};
use crate::time::{Millis, Timestamp};

/// What a lane asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum LaneDuty {
    /// Nothing now.
    Nothing,
    /// Its token is to be verified.
    Verify,
    /// A sentinel is to be sent.
    Sentinel,
    /// The mapping no longer has it: its runner manager is to be removed.
    Forget,
    /// Only its row is to be put right.
    Write(Plan),
}

/// What a lane's duty is decided on, beside its row.
#[derive(Clone, Copy, Debug)]
pub struct LaneView<'a> {
    /// Whether the mapping, or the default route, has the lane.
    pub mapped: bool,
    /// Whether a launch of the lane is live, as far as is known.
    pub in_use: bool,
    /// Whether the stack drains: then the lane, which nobody has any more, goes as soon as it is in nobody's use.
    pub draining: bool,
    /// The lane's last sentinel.
    pub last_sentinel: Option<&'a LaunchRow>,
    /// The time between two sentinels; `None` when none are sent.
    pub sentinels: Option<Millis>,
}

/// Decides about a lane. `row` is `None` for a lane that nobody looked after yet.
#[must_use]
pub fn lane_duty(row: Option<&LaneRow>, view: LaneView<'_>, now: Timestamp) -> LaneDuty {
    let looked_at = row.and_then(|row| Some((row, row.due.next_check_at?)));
    match looked_at {
        // New to us, or back in the mapping.
        None if view.mapped => LaneDuty::Verify,
        None => LaneDuty::Nothing,
        Some((_, at)) if at > now && (!view.draining || view.in_use) => LaneDuty::Nothing,
        Some((row, _)) if !view.mapped => match view.in_use {
            true => LaneDuty::Write(look_again(row, now + limits::VERIFY_RETRY, "its last launches are not over")),
            false => LaneDuty::Forget,
        },
        Some((row, _)) if row.next_verify_at.is_none_or(|at| at <= now) => LaneDuty::Verify,
        Some((row, _)) => match view.sentinels.map(|every| watch(row, view.last_sentinel, every, now)) {
            Some(Watch::Send) => LaneDuty::Sentinel,
            Some(Watch::Wait(plan)) => LaneDuty::Write(plan),
            None => LaneDuty::Write(look_again(row, next_look(row, None, now), "nothing is due in it")),
        },
    }
}

/// When the sweep looks at a lane that it has just looked at.
pub(super) fn next_look(row: &LaneRow, sentinels: Option<Millis>, now: Timestamp) -> Timestamp {
    let sentinel = row.next_sentinel_at.filter(|_| sentinels.is_some());
    row.next_verify_at.into_iter().chain(sentinel).min().unwrap_or(now + limits::VERIFY_RETRY)
}

/// Puts the next look at a lane to `at`.
#[must_use]
pub fn look_again(row: &LaneRow, at: Timestamp, why: &str) -> Plan {
    let mut after = row.clone();
    after.due_at(at);
    Plan::because(why).with_some(put(Some(row), after))
}

/// What GitLab said about a lane's token.
#[derive(Clone, Copy, Debug)]
pub struct Introduction<'a> {
    /// The lane.
    pub lane: &'a LaneId,
    /// What runs its jobs.
    pub engine: Engine,
    /// The token.
    pub token: &'a str,
    /// The runner's id; `None` from a GitLab that tells none.
    pub runner_id: Option<u64>,
}

/// A lane's first launch made GitLab say as which runner the lane asks. `runner` is the row of that runner.
#[must_use]
pub fn introduced(row: Option<&LaneRow>, runner: Option<&RunnerRow>, said: Introduction<'_>, now: Timestamp) -> Plan {
    let mut after = row.cloned().unwrap_or_else(|| LaneRow::new(said.lane.clone(), said.engine));
    after.learn(said.runner_id, said.token, now);
    if after.due.next_check_at.is_none() {
        // When the sweep looks at it is the sweep's to say.
        after.due_at(now);
    }
    known(row, after, runner, said, now)
}

/// The sweep had the lane's token verified.
#[must_use]
pub fn verified(
    row: Option<&LaneRow>,
    runner: Option<&RunnerRow>,
    said: Introduction<'_>,
    sentinels: Option<Millis>,
    now: Timestamp,
) -> Plan {
    let mut after = row.cloned().unwrap_or_else(|| LaneRow::new(said.lane.clone(), said.engine));
    after.learn(said.runner_id, said.token, now);
    verify_again(&mut after, limits::VERIFY_EVERY, sentinels, now);
    known(row, after, runner, said, now)
}

/// A lane that is known has a runner that is known: both rows are written together.
fn known(
    row: Option<&LaneRow>,
    after: LaneRow,
    runner: Option<&RunnerRow>,
    said: Introduction<'_>,
    now: Timestamp,
) -> Plan {
    let new_runner = said.runner_id.filter(|_| runner.is_none()).map(|runner_id| RunnerRow {
        rev: 0,
        runner_id,
        lane: said.lane.clone(),
        seen_at: now,
        launch: None,
        expires_at: None,
        extra: serde_json::Map::new(),
    });
    Plan::because("GitLab knows the lane's runner")
        .with_some(put(row, after))
        .with_some(new_runner.and_then(|runner| put(None, runner)))
}

/// The lane's token is of no use. Also whether an operator is to be told: when it is new, and then each hour.
#[must_use]
pub fn troubled(
    row: Option<&LaneRow>,
    lane: &LaneId,
    engine: Engine,
    trouble: TokenTrouble,
    sentinels: Option<Millis>,
    now: Timestamp,
) -> (Plan, bool) {
    let mut after = row.cloned().unwrap_or_else(|| LaneRow::new(lane.clone(), engine));
    let told = after.token_trouble == Some(trouble) && after.told_at.is_some_and(|at| now - at < limits::VERIFY_EVERY);
    after.token_trouble = Some(trouble);
    if !told {
        after.told_at = Some(now);
    }
    verify_again(&mut after, limits::VERIFY_RETRY, sentinels, now);
    (Plan::because("the lane's token is of no use").with_some(put(row, after)), !told)
}

/// The lane's token registers runners, one for each launch, and is no runner's: GitLab knows no call that proves it without
/// making one.
#[must_use]
pub fn registers(row: Option<&LaneRow>, lane: &LaneId, engine: Engine, now: Timestamp) -> Plan {
    let mut after = row.cloned().unwrap_or_else(|| LaneRow::new(lane.clone(), engine));
    (after.token_trouble, after.told_at) = (None, None);
    verify_again(&mut after, limits::VERIFY_EVERY, None, now);
    Plan::because("its launches register runners of their own").with_some(put(row, after))
}

/// GitLab, or Parameter Store, did not answer: what is known of the token stays.
#[must_use]
pub fn unverified(
    row: Option<&LaneRow>,
    lane: &LaneId,
    engine: Engine,
    sentinels: Option<Millis>,
    now: Timestamp,
) -> Plan {
    let mut after = row.cloned().unwrap_or_else(|| LaneRow::new(lane.clone(), engine));
    verify_again(&mut after, limits::VERIFY_RETRY, sentinels, now);
    Plan::because("the lane's token could not be verified now").with_some(put(row, after))
}

pub(super) fn verify_again(after: &mut LaneRow, pause: Millis, sentinels: Option<Millis>, now: Timestamp) {
    after.next_verify_at = Some(now + pause);
    if let Some(every) = sentinels {
        after.next_sentinel_at = after.next_sentinel_at.or(Some(now + every));
    }
    after.due_at(next_look(after, sentinels, now));
}

/// The lane's runner manager is gone, or cannot be removed any more.
#[must_use]
pub fn forgotten(row: &LaneRow, why: &str, now: Timestamp) -> Plan {
    let mut after = row.clone();
    after.retire(now);
    Plan::because(format!("{} is no lane of the mapping: {why}", row.pk())).with_some(put(Some(row), after))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::moves::testing::{T0, lane_row_of, mapped_lane, secs};

    const EVERY: Option<Millis> = Some(Millis::minutes(10));
    const MAPPED: LaneView<'_> =
        LaneView { mapped: true, in_use: false, draining: false, last_sentinel: None, sentinels: EVERY };

    fn said(lane: &LaneId) -> Introduction<'_> {
        Introduction { lane, engine: Engine::Lambda, token: "glrt-a", runner_id: Some(7) }
    }

    #[test]
    fn a_new_lane_is_verified_and_then_each_hour() {
        let lane = mapped_lane().id();
        assert_eq!(lane_duty(None, MAPPED, T0), LaneDuty::Verify);
        let plan = verified(None, None, said(&lane), None, T0);
        assert_eq!(
            plan.changes.iter().map(|change| change.pk.clone()).collect::<Vec<_>>(),
            [format!("lane#{lane}"), "runner#7".to_owned()]
        );
        let row = lane_row_of(&plan);
        let without = LaneView { sentinels: None, ..MAPPED };
        let hour = T0 + limits::VERIFY_EVERY;
        assert_eq!(row.due.next_check_at, Some(hour));
        assert_eq!(lane_duty(Some(&row), without, hour - Millis(1)), LaneDuty::Nothing);
        assert_eq!(lane_duty(Some(&row), without, hour), LaneDuty::Verify);
    }

    #[test]
    fn an_executor_writes_what_it_learned_and_erases_nothing() {
        let lane = mapped_lane().id();
        let row = lane_row_of(&verified(None, None, said(&lane), EVERY, T0));
        let other = Introduction { token: "glrt-b", runner_id: Some(8), ..said(&lane) };
        let after = lane_row_of(&introduced(Some(&row), None, other, secs(5)));
        assert!(after.knows("glrt-b") && after.runner_id == Some(8) && after.seen_at == Some(secs(5)));
        assert_eq!(
            (after.next_verify_at, after.next_sentinel_at, after.due.clone()),
            (row.next_verify_at, row.next_sentinel_at, row.due)
        );
        let first = lane_row_of(&introduced(None, None, said(&lane), T0));
        assert_eq!(first.due.next_check_at, Some(T0), "the sweep takes it from there");
    }

    #[test]
    fn an_operator_is_told_of_a_bad_token_once_an_hour_and_a_good_one_ends_that() {
        let lane = mapped_lane().id();
        let mut row = None;
        let mut told = Vec::new();
        for minute in (0..=120).step_by(10) {
            let now = T0 + Millis::minutes(minute);
            let (plan, tell) = troubled(row.as_ref(), &lane, Engine::Lambda, TokenTrouble::Refused, EVERY, now);
            let after = lane_row_of(&plan);
            assert_eq!(after.next_verify_at, Some(now + limits::VERIFY_RETRY), "a cure is noticed soon");
            row = Some(after);
            told.extend(tell.then_some(minute));
        }
        assert_eq!(told, [0, 60, 120]);
        let (_, tell) = troubled(row.as_ref(), &lane, Engine::Lambda, TokenTrouble::Missing, EVERY, secs(7201));
        assert!(tell, "another trouble");
        let well = lane_row_of(&verified(row.as_ref(), None, said(&lane), EVERY, secs(7300)));
        assert_eq!((well.token_trouble, well.told_at), (None, None));
    }

    #[test]
    fn no_answer_changes_nothing_that_is_known() {
        let lane = mapped_lane().id();
        let row = lane_row_of(&verified(None, None, said(&lane), EVERY, T0));
        let after = lane_row_of(&unverified(Some(&row), &lane, Engine::Lambda, EVERY, secs(3600)));
        assert!(after.knows("glrt-a") && after.token_trouble.is_none());
        assert_eq!(after.next_verify_at, Some(secs(3600) + limits::VERIFY_RETRY));
    }

    #[test]
    fn a_lane_that_left_the_mapping_is_forgotten_once_its_launches_are_over_and_may_come_back() {
        let lane = mapped_lane().id();
        let row = lane_row_of(&verified(None, None, said(&lane), EVERY, T0));
        let gone = LaneView { mapped: false, ..MAPPED };
        let due = row.due.next_check_at.unwrap();
        assert_eq!(lane_duty(Some(&row), gone, due - Millis(1)), LaneDuty::Nothing);
        assert!(matches!(lane_duty(Some(&row), LaneView { in_use: true, ..gone }, due), LaneDuty::Write(_)));
        assert_eq!(lane_duty(Some(&row), gone, due), LaneDuty::Forget);
        let drains = LaneView { draining: true, ..gone };
        assert_eq!(lane_duty(Some(&row), drains, T0), LaneDuty::Forget, "it is not waited for");
        assert_eq!(lane_duty(Some(&row), LaneView { in_use: true, ..drains }, T0), LaneDuty::Nothing);
        let retired = lane_row_of(&forgotten(&row, "its runner manager is removed", due));
        assert_eq!(lane_duty(Some(&retired), drains, due), LaneDuty::Nothing);
        assert!(retired.expires_at.is_some() && retired.due.open.is_none());
        assert_eq!(lane_duty(Some(&retired), gone, secs(99_999)), LaneDuty::Nothing);
        assert_eq!(lane_duty(Some(&retired), MAPPED, secs(99_999)), LaneDuty::Verify);
        let back = lane_row_of(&verified(Some(&retired), None, said(&lane), EVERY, secs(99_999)));
        assert!(back.expires_at.is_none() && back.due.open.is_some());
    }
}
