//! Lane runner: a lane whose token nobody stored gets a runner that we make, where an API token allows it.
//!
//! As with a launch's own runner, the row says first that GitLab is asked, because GitLab tells a token once.

use crate::change::{Plan, put};
use crate::id::LaneId;
use crate::lane::Engine;
use crate::lane_row::LaneRow;
use crate::limits;
use crate::moves::lane::verify_again;
use crate::time::{Millis, Timestamp};

/// What is to be done for a lane without a token.
#[derive(Clone, Debug, PartialEq)]
pub enum LaneMaking {
    /// This is written, and then GitLab is asked for a runner, once. `lost` is when it was asked before and never answered: there
    /// may be a runner from then, which an operator is told of.
    Ask {
        /// The writes.
        plan: Plan,
        /// When the answer that never came was asked for.
        lost: Option<Timestamp>,
    },
    /// Another sweep is at it.
    Wait,
}

/// Decides for a lane without a token.
#[must_use]
pub fn lane_making(row: Option<&LaneRow>, lane: &LaneId, engine: Engine, now: Timestamp) -> LaneMaking {
    let before = row.and_then(|row| row.making_since);
    if before.is_some_and(|at| now - at < limits::RUNNER_ANSWER) {
        return LaneMaking::Wait;
    }
    let mut after = row.cloned().unwrap_or_else(|| LaneRow::new(lane.clone(), engine));
    after.making_since = Some(now);
    // Should this sweep die, a later one tells of it.
    after.due_at(now + limits::VERIFY_RETRY);
    LaneMaking::Ask { plan: Plan::because("GitLab is asked for its runner").with_some(put(row, after)), lost: before }
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LaneMade {
    /// A runner, whose token is stored and has this [`mark`](crate::lane_row::mark).
    Runner(String),
    /// None: it is asked for again in ten minutes.
    Nothing,
    /// Nobody knows, and an operator is told: it is asked for again in an hour, so that a GitLab whose answers get lost is
    /// not filled with runners.
    Unknown,
}

/// Writes down what came of it. `row` is the lane's row as [`lane_making`] left it.
#[must_use]
pub fn lane_made(row: &LaneRow, made: LaneMade, sentinels: Option<Millis>, now: Timestamp) -> Plan {
    let mut after = row.clone();
    after.making_since = None;
    let (why, pause) = match made {
        LaneMade::Runner(mark) => {
            after.made_mark = Some(mark);
            ("a runner was made for it", limits::SENTINEL_LOOK)
        }
        LaneMade::Nothing => ("GitLab made no runner for it", limits::VERIFY_RETRY),
        LaneMade::Unknown => ("GitLab may have made a runner for it", limits::VERIFY_EVERY),
    };
    verify_again(&mut after, pause, sentinels, now);
    Plan::because(why).with_some(put(Some(row), after))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lane_row::mark;
    use crate::moves::testing::{T0, lane_row_of, mapped_lane, secs};
    use crate::moves::{Introduction, verified};

    fn asked(row: Option<&LaneRow>, now: Timestamp) -> (LaneRow, Option<Timestamp>) {
        let lane = mapped_lane().id();
        let LaneMaking::Ask { plan, lost } = lane_making(row, &lane, Engine::Ec2, now) else { panic!("not asked") };
        (lane_row_of(&plan), lost)
    }

    #[test]
    fn it_is_said_before_gitlab_is_asked_and_an_answer_that_never_came_is_told() {
        let lane = mapped_lane().id();
        let (row, lost) = asked(None, T0);
        assert_eq!((row.making_since, lost), (Some(T0), None));
        let late = T0 + limits::RUNNER_ANSWER;
        assert_eq!(lane_making(Some(&row), &lane, Engine::Ec2, late - Millis(1)), LaneMaking::Wait);
        let (again, lost) = asked(Some(&row), late);
        assert_eq!((again.making_since, lost), (Some(late), Some(T0)));
    }

    #[test]
    fn what_came_of_it_says_when_it_is_tried_again() {
        let (row, _) = asked(None, T0);
        for (made, pause) in [
            (LaneMade::Runner(mark("glrt-a")), limits::SENTINEL_LOOK),
            (LaneMade::Nothing, limits::VERIFY_RETRY),
            (LaneMade::Unknown, limits::VERIFY_EVERY),
        ] {
            let after = lane_row_of(&lane_made(&row, made.clone(), None, secs(1)));
            assert_eq!((after.making_since, after.next_verify_at), (None, Some(secs(1) + pause)), "{made:?}");
            assert_eq!(after.made("glrt-a"), made == LaneMade::Runner(mark("glrt-a")));
        }
    }

    #[test]
    fn the_runner_that_we_made_is_ours_to_delete_as_long_as_its_token_is_the_lanes() {
        let (lane, (row, _)) = (mapped_lane().id(), asked(None, T0));
        let made = lane_row_of(&lane_made(&row, LaneMade::Runner(mark("glrt-a")), None, T0));
        assert!(made.made("glrt-a"), "also before GitLab was asked as which runner it asks");
        assert!(!made.made("glrt-b"), "somebody stored another token");
        assert!(!row.made("glrt-a"), "nothing was made");
        let said = Introduction { lane: &lane, engine: Engine::Ec2, token: "glrt-b", runner_id: Some(10) };
        let theirs = lane_row_of(&verified(Some(&made), None, said, None, T0));
        assert!(!theirs.made("glrt-b"), "GitLab knows the other one's runner");
    }
}
