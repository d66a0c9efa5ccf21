//! The terminator: a job's end that is not settled at once.

use crate::breakage::case::{Case, Pace, Struck};
use crate::breakage::expect::Healer;
use crate::breakage::kind::{Kind, OUT_OF_ORDER};

/// The workflow repeats the step up to three times, after 2, 4 and 8 s at most.
const WORKFLOW_S: u64 = 30;

pub(super) fn cases() -> Vec<Case> {
    let settle = |kind: Kind| {
        Case::new("dynamodb", kind, "at-the-terminator")
            .lasting("Terminator", "dynamodb:*")
            .struck(Struck::Hits(kind.attempts()), "ended")
            .healed(Healer::Workflow, WORKFLOW_S)
            .retired()
            .pace(if kind == Kind::Failing { Pace::Quick } else { Pace::Whole })
    };
    OUT_OF_ORDER.into_iter().map(settle).collect()
}
