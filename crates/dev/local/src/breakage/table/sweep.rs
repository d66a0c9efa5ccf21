//! The sweep itself out of order, when a job depends on it.

use super::SWEEP_S;
use crate::breakage::case::{Case, Pace, Struck};
use crate::breakage::expect::Healer;
use crate::breakage::kind::{Kind, OUT_OF_ORDER};

/// A stored row whose announcement was lost is due after this.
const CHARGE_GRACE_S: u64 = 20;

pub(super) fn cases() -> Vec<Case> {
    let lost = |kind: Kind| {
        Case::new("dynamodb", kind, "at-the-sweep")
            .lasting("Ingest", "events:*")
            .lasting("Reconciler", "dynamodb:*")
            .struck(Struck::SweepFails, "waiting")
            .healed(Healer::Sweep, CHARGE_GRACE_S + SWEEP_S)
            .pace(if kind == Kind::Failing { Pace::Quick } else { Pace::Whole })
    };
    // The schedule's own invocation is given up, and the next minute's does its work.
    let given_up = lost(Kind::Failing).struck(Struck::DeadLetter("Reconciler"), "waiting");
    let given_up = Case { id: given_up.id.replace("at-the-sweep", "at-a-scheduled-sweep"), ..given_up };
    OUT_OF_ORDER.into_iter().map(lost).chain([given_up]).collect()
}
