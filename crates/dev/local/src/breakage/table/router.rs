//! The router: a stored job whose launch does not come about at once.

use super::SWEEP_S;
use crate::breakage::case::{Case, Pace, Struck};
use crate::breakage::expect::Healer;
use crate::breakage::kind::{Kind, OUT_OF_ORDER};

/// The workflow repeats the step up to three times, after 2, 4 and 8 s at most.
const WORKFLOW_S: u64 = 30;
/// Lambda's throttles pass in seconds; the router says when the job is looked at again.
const THROTTLED_S: u64 = 15;
/// A launch that was charged and whose request is not known to have gone out is looked at again after this.
const START_AGAIN_S: u64 = 20;

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for kind in OUT_OF_ORDER {
        let slower = if kind == Kind::Hanging { Pace::Whole } else { Pace::Quick };
        cases.push(
            Case::new("dynamodb", kind, "at-the-router")
                .lasting("Router", "dynamodb:*")
                .struck(Struck::Hits(kind.attempts()), "waiting")
                .healed(Healer::Workflow, WORKFLOW_S)
                .pace(slower),
        );
        // The API token is what it would read there: without it the job is routed by its name.
        cases.push(
            Case::new("parameters", kind, "at-a-new-router")
                .lasting("Router", "ssm:*")
                .fresh(&["Router"])
                .struck(Struck::Job("success", 1), "ended")
                .pace(if kind == Kind::Hanging { Pace::Quick } else { Pace::Whole }),
        );
        let invoke = Case::new("lambda", kind, "at-the-router").lasting("Router", "lambda:Invoke");
        cases.push(match kind {
            // Nothing was queued: the launch is over, at no attempt's cost.
            Kind::Throttled => invoke
                .struck(Struck::Row("waiting", 1), "waiting")
                .healed(Healer::Sweep, THROTTLED_S + SWEEP_S)
                .attempts(2),
            // Whether it was queued is not known: the same launch is started again, ten seconds after its charge at the
            // soonest. A call that hangs takes so long that the workflow's own repetition does it.
            Kind::Hanging => invoke
                .struck(Struck::Launch("charged", kind.attempts()), "charged")
                .healed(Healer::Workflow, WORKFLOW_S)
                .pace(Pace::Whole),
            _ => invoke
                .struck(Struck::Launch("charged", kind.attempts()), "charged")
                .healed(Healer::Sweep, START_AGAIN_S + SWEEP_S),
        });
    }
    cases.push(
        Case::new("lambda", Kind::AnswerLost, "at-the-router")
            .times("Router", "lambda:Invoke", 1)
            .struck(Struck::Job("success", 1), "ended"),
    );
    cases
}
