//! StartRunner fails for good, at each of its states, or is never started: the job's row was stored before, and the sweep
//! finds it.

use super::{DIED, STOOD_STILL, SWEEP_S, ledger_error};
use crate::breakage::case::{Case, Fault, Pace, Struck, Workflow};
use crate::breakage::expect::Healer;
use crate::breakage::kind::{Kind, OUT_OF_ORDER};

/// A stored row whose announcement led to nothing is due after this.
const CHARGE_GRACE_S: u64 = 20;
/// A launch that was charged and whose request is not known to have gone out is looked at again after this.
const START_AGAIN_S: u64 = 20;
/// A job whose launch AWS refuses to start waits so long for the next one.
const TROUBLE_S: u64 = 60;

pub(super) fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = OUT_OF_ORDER.into_iter().chain([Kind::Denied]).flat_map(at_the_route).collect();
    cases.extend(killed());
    // The row's own lane is tried, then the default route's; AWS refuses both.
    cases.push(
        Case::new("lambda", Kind::Denied, "until-start-runner-fails")
            .lasting("Router", "lambda:Invoke")
            .struck(Struck::Failed(Workflow::StartRunner, &["Invoke.Refused"]), "waiting")
            .healed(Healer::Sweep, TROUBLE_S + SWEEP_S)
            .attempts(3)
            .pace(Pace::Whole),
    );
    // It has launched, and does not know the word for that.
    cases.push(
        Case::new("start-runner", Kind::Outdated, "at-its-choice")
            .with(Fault::OtherWord(Workflow::StartRunner, "launched"))
            .struck(Struck::Job("success", 0), "ended")
            .then(Struck::Failed(Workflow::StartRunner, &["Router.UnknownOutcome"])),
    );
    cases.push(
        Case::new("start-runner", Kind::Gone, "at-the-bus")
            .with(Fault::Unstartable(Workflow::StartRunner))
            .struck(Struck::Answered, "waiting")
            .healed(Healer::Sweep, CHARGE_GRACE_S + SWEEP_S),
    );
    cases
}

/// The router answers with an error each time that the workflow asks; a refusal is asked for once.
fn at_the_route(kind: Kind) -> [Case; 2] {
    let mapping = if kind == Kind::Denied { &["Mapping.Refused"][..] } else { &["Mapping.Unavailable"] };
    let until_it_fails = |what: &str, op: &'static str, error: &'static [&'static str]| {
        Case::new(what, kind, "until-start-runner-fails")
            .lasting("Router", op)
            .struck(Struck::Failed(Workflow::StartRunner, error), "waiting")
            .healed(Healer::Sweep, CHARGE_GRACE_S + SWEEP_S)
            .pace(Pace::Whole)
    };
    let ledger = until_it_fails("dynamodb", "dynamodb:*", ledger_error(kind));
    let quick = if kind == Kind::Denied { Pace::Quick } else { Pace::Whole };
    [ledger.pace(quick), until_it_fails("mapping", "dynamodb:Query", mapping)]
}

/// The router does not answer at all.
fn killed() -> Vec<Case> {
    let of_router = |kind: Kind, place: &str| Case::new("router", kind, place).of("Router");
    let before_the_charge = |kind: Kind, error| {
        of_router(kind, "before-the-charge")
            .lasting("Router", "dynamodb:TransactWriteItems")
            .struck(Struck::Hits(1), "waiting")
            .then(Struck::Failed(Workflow::StartRunner, error))
            .healed(Healer::Sweep, CHARGE_GRACE_S + SWEEP_S)
    };
    vec![
        before_the_charge(Kind::Killed, DIED),
        before_the_charge(Kind::Frozen, STOOD_STILL).pace(Pace::Whole),
        of_router(Kind::Killed, "before-the-invoke")
            .lasting("Router", "lambda:Invoke")
            .struck(Struck::Launch("charged", 1), "charged")
            .then(Struck::Failed(Workflow::StartRunner, DIED))
            .healed(Healer::Sweep, START_AGAIN_S + SWEEP_S),
        // The launch is under way, and more than once: of its processes one begins.
        of_router(Kind::Killed, "after-the-invoke")
            .with(Fault::Unanswered("Router", "lambda:Invoke"))
            .holding()
            .struck(Struck::Job("running", 1), "bound")
            .then(Struck::Failed(Workflow::StartRunner, DIED)),
    ]
}
