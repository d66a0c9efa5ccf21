//! Authorizer and ingest: what GitLab is told, and what is stored by then.

use super::{BUS_REFUSALS, SWEEP_S};
use crate::breakage::case::{Case, Pace, Struck};
use crate::breakage::expect::Healer;
use crate::breakage::kind::{Kind, OUT_OF_ORDER};

/// From the resend to the job's end.
const RESENT_S: u64 = 30;
/// A stored row whose announcement was lost is due after this.
const CHARGE_GRACE_S: u64 = 20;

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for kind in OUT_OF_ORDER {
        cases.push(
            Case::new("dynamodb", kind, "at-ingest")
                .lasting("Ingest", "dynamodb:*")
                .refused()
                .struck(Struck::Answered, "nothing")
                .healed(Healer::Resend, RESENT_S),
        );
        cases.push(
            Case::new("eventbridge", kind, "at-ingest")
                .lasting("Ingest", "events:*")
                .struck(Struck::Answered, "waiting")
                .healed(Healer::Sweep, CHARGE_GRACE_S + SWEEP_S)
                .counts(BUS_REFUSALS),
        );
        cases.push(
            Case::new("parameters", kind, "at-a-warm-front-door")
                .lasting("Authorizer", "ssm:*")
                .lasting("Ingest", "ssm:*")
                .struck(Struck::Job("success", 0), "ended")
                .pace(if kind == Kind::Failing { Pace::Quick } else { Pace::Whole }),
        );
        // Neither has ever read a secret: the filter lets pass what it cannot judge, and the proof fails safely.
        cases.push(
            Case::new("parameters", kind, "at-a-new-front-door")
                .lasting("Authorizer", "ssm:*")
                .lasting("Ingest", "ssm:*")
                .fresh(&["Authorizer", "Ingest"])
                .refused()
                .struck(Struck::Answered, "nothing")
                .healed(Healer::Resend, RESENT_S)
                .pace(if kind == Kind::Failing || kind == Kind::Hanging { Pace::Quick } else { Pace::Whole }),
        );
        cases.push(
            Case::new("parameters", kind, "at-a-new-authorizer")
                .lasting("Authorizer", "ssm:*")
                .fresh(&["Authorizer"])
                .struck(Struck::Job("success", 1), "ended")
                .pace(Pace::Whole),
        );
    }
    for kind in [Kind::Refused, Kind::Denied] {
        cases.push(
            Case::new("eventbridge", kind, "at-ingest")
                .lasting("Ingest", "events:PutEvents")
                .struck(Struck::Hits(1), "waiting")
                .healed(Healer::Sweep, CHARGE_GRACE_S + SWEEP_S)
                .counts(BUS_REFUSALS)
                .pace(if kind == Kind::Refused { Pace::Quick } else { Pace::Whole }),
        );
    }
    cases.push(
        Case::new("dynamodb", Kind::AnswerLost, "at-ingest")
            .times("Ingest", "dynamodb:PutItem", 1)
            .struck(Struck::Job("success", 1), "ended"),
    );
    cases
}
