//! The executor: from its first act to its last.

use super::SWEEP_S;
use crate::breakage::case::{Case, Fault, Pace, Struck};
use crate::breakage::expect::Healer;
use crate::breakage::kind::{Kind, OUT_OF_ORDER};

/// A launch of which nothing is heard is over after this.
const START_LEASE_S: u64 = 150;
/// A launch that did not begin is repeated after this.
const NOT_BEGUN_S: u64 = 10;
/// The first launch in vain is repeated after this.
const FRUITLESS_S: u64 = 10;
/// A trouble of our own is repeated after this.
const TROUBLE_S: u64 = 60;
/// A bound launch that is silent is lost after this.
const LEASE_S: u64 = 180;

/// It fails before it begins, and so does the terminator, which Lambda tells of that.
pub(super) fn with_the_terminator() -> Case {
    Case::new("dynamodb", Kind::Failing, "at-the-begin-and-the-terminator")
        .lasting("Executor", "dynamodb:*")
        .lasting("Terminator", "dynamodb:*")
        .struck(Struck::Hits(2 * Kind::Failing.attempts()), "charged")
        .healed(Healer::Sweep, START_LEASE_S + NOT_BEGUN_S + SWEEP_S)
        .attempts(2)
        .pace(Pace::Slow)
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for kind in OUT_OF_ORDER {
        let quick = if kind == Kind::Hanging { Pace::Whole } else { Pace::Quick };
        cases.push(
            Case::new("dynamodb", kind, "at-the-begin")
                .lasting("Executor", "dynamodb:*")
                .struck(Struck::Row("waiting", 1), "waiting")
                .healed(Healer::Sweep, NOT_BEGUN_S + SWEEP_S)
                .attempts(2)
                .pace(quick),
        );
        cases.push(
            Case::new("parameters", kind, "at-the-executor")
                .lasting("Executor", "ssm:*")
                .struck(Struck::Row("waiting", 1), "waiting")
                .healed(Healer::Sweep, TROUBLE_S + SWEEP_S)
                .attempts(2)
                .pace(quick),
        );
        let bind = || Case::new("dynamodb", kind, "at-the-bind").times("Executor", TRANSACT, kind.attempts());
        cases.push(
            bind()
                .struck(Struck::Row("waiting", 1), "waiting")
                .healed(Healer::Sweep, FRUITLESS_S + SWEEP_S)
                .attempts(2)
                .pace(quick),
        );
        cases.push(
            bind()
                .one_phase()
                .struck(Struck::Job("failed", kind.attempts()), "ended")
                .healed(Healer::Runner, 30)
                .failed("runner_system_failure", 0)
                .pace(quick),
        );
        // The first write of one row is the begin; those that follow are the signs of life.
        cases.push(
            Case::new("dynamodb", kind, "at-the-renewals")
                .with(Fault::Aws { part: "Executor", op: "dynamodb:PutItem", nth: 2, times: None })
                .holding()
                .struck(Struck::Job("running", kind.attempts()), "bound")
                .pace(if kind == Kind::Failing { Pace::Quick } else { Pace::Whole }),
        );
        cases.push(
            Case::new("dynamodb", kind, "at-the-conclusion")
                .with(Fault::Aws { part: "Executor", op: TRANSACT, nth: 2, times: None })
                .struck(Struck::Job("success", kind.attempts()), "ended")
                .healed(Healer::Sweep, LEASE_S + SWEEP_S)
                .pace(Pace::Slow),
        );
    }
    cases.push(
        Case::new("dynamodb", Kind::AnswerLost, "at-the-bind")
            .times("Executor", TRANSACT, 1)
            .struck(Struck::Job("success", 1), "ended"),
    );
    cases
}

/// Bind and conclusion change the rows of launch and job together.
const TRANSACT: &str = "dynamodb:TransactWriteItems";
