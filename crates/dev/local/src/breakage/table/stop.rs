//! StopRunner fails for good, or is never started: the end was stored before, and the sweep settles it.

use super::{BUS_REFUSALS, DIED, STOOD_STILL, SWEEP_S, ledger_error};
use crate::breakage::case::{Case, Fault, Pace, Struck, Workflow};
use crate::breakage::expect::Healer;
use crate::breakage::kind::{Kind, OUT_OF_ORDER};

/// The sweep looks so long after a job's end whether its launch is gone.
const SETTLE_CHECK_S: u64 = 60;

pub(super) fn cases() -> Vec<Case> {
    let swept = |case: Case| case.healed(Healer::Sweep, SETTLE_CHECK_S + SWEEP_S).retired();
    let until_it_fails = |kind: Kind| {
        swept(
            Case::new("dynamodb", kind, "until-stop-runner-fails")
                .lasting("Terminator", "dynamodb:*")
                .struck(Struck::Failed(Workflow::StopRunner, ledger_error(kind)), "ended")
                .pace(if kind == Kind::Denied { Pace::Quick } else { Pace::Whole }),
        )
    };
    let while_it_settles = |kind: Kind, error| {
        swept(
            Case::new("terminator", kind, "while-it-settles")
                .of("Terminator")
                .lasting("Terminator", "dynamodb:*")
                .struck(Struck::Hits(1), "ended")
                .then(Struck::Failed(Workflow::StopRunner, error)),
        )
    };
    let mut cases: Vec<Case> = OUT_OF_ORDER.into_iter().chain([Kind::Denied]).map(until_it_fails).collect();
    cases.push(while_it_settles(Kind::Killed, DIED));
    cases.push(while_it_settles(Kind::Frozen, STOOD_STILL).pace(Pace::Whole));
    cases.push(swept(
        Case::new("stop-runner", Kind::Gone, "at-the-bus")
            .with(Fault::Unstartable(Workflow::StopRunner))
            .struck(Struck::Job("success", 0), "ended"),
    ));
    // The first event is that the job waits; of its end the bus is not told.
    let end_untold = |kind: Kind| {
        // Ingest waits for two seconds: a call that hangs is its only one, of others each repetition is over.
        let hits = if kind == Kind::Hanging { 1 } else { kind.attempts() };
        swept(
            Case::new("eventbridge", kind, "at-the-end")
                .with(Fault::Aws { part: "Ingest", op: "events:PutEvents", nth: 2, times: None })
                .struck(Struck::Job("success", hits), "ended")
                .counts(BUS_REFUSALS)
                .pace(if kind == Kind::Refused { Pace::Quick } else { Pace::Whole }),
        )
    };
    cases.extend(OUT_OF_ORDER.into_iter().chain([Kind::Denied, Kind::Refused]).map(end_untold));
    cases
}
