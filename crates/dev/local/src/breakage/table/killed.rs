//! The executor killed, at each step of a job.

use super::{SWEEP_S, UNACCOUNTED};
use crate::breakage::case::{Case, Fault, Pace, Struck};
use crate::breakage::expect::Healer;
use crate::breakage::kind::Kind;

/// A job whose executor is gone is reported within this.
const REPORTED_S: u64 = 30;
/// The first launch in vain is repeated after this.
const FRUITLESS_S: u64 = 10;
/// A job whose launch was lost before it was accepted waits so long for its next one.
const CHARGE_GRACE_S: u64 = 20;
/// A loss that GitLab could not be told of is told by the sweep after this.
const DEBT_S: u64 = 20;
/// Where nobody was told, the sweep finds the silence within four minutes.
const SILENT_S: u64 = 240;

fn killed(place: &str) -> Case {
    Case::new("executor", Kind::Killed, place).fresh(&["Executor"])
}

/// The executor and then its terminator.
pub(super) fn while_the_terminator_fails() -> Case {
    killed("while-the-terminator-fails")
        .holding()
        .lasting("Terminator", "dynamodb:*")
        .struck(Struck::Job("running", 0), "bound")
        .then(Struck::Hits(Kind::Killed.attempts()))
        .healed(Healer::Sweep, SILENT_S)
        .failed("runner_system_failure", 1)
        .retired()
        .pace(Pace::Slow)
}

pub(super) fn cases() -> Vec<Case> {
    let mid_script = || killed("in-the-script").holding().struck(Struck::Job("running", 0), "bound");
    let before_the_bind = || {
        killed("before-the-bind")
            .times("Executor", "dynamodb:TransactWriteItems", 1)
            .struck(Struck::Launch("polling", 1), "charged")
    };
    let before_the_acceptance = || {
        killed("before-the-acceptance")
            .with(Fault::GitLab("PUT", "jobs/*", "hang"))
            .struck(Struck::Asked("bound"), "bound")
    };
    vec![
        mid_script().healed(Healer::Terminator, REPORTED_S).failed("runner_system_failure", 1),
        mid_script().one_phase().healed(Healer::Terminator, REPORTED_S).failed("runner_system_failure", 1),
        killed("before-the-201")
            .with(Fault::GitLab("POST", "jobs/request", "hang"))
            .struck(Struck::Asked("polling"), "charged")
            .healed(Healer::Sweep, FRUITLESS_S + SWEEP_S)
            .attempts(2),
        before_the_bind().healed(Healer::Sweep, FRUITLESS_S + SWEEP_S).attempts(2),
        // It runs in GitLab's eyes from the 201 on, and nobody has its token: all that is left is an alarm.
        before_the_bind()
            .one_phase()
            .struck(Struck::Row("foreign", 1), "foreign")
            .healed(Healer::Sweep, SWEEP_S)
            .left_running()
            .counts(UNACCOUNTED)
            .pace(Pace::Whole),
        before_the_acceptance().healed(Healer::Sweep, REPORTED_S + CHARGE_GRACE_S + SWEEP_S).attempts(2),
        before_the_acceptance().one_phase().healed(Healer::Terminator, REPORTED_S).failed("runner_system_failure", 0),
        // The terminator writes the loss down, and cannot tell it.
        killed("while-gitlab-fails")
            .holding()
            .with(Fault::GitLabFrom(2, "PUT", "jobs/*", "status:503"))
            .struck(Struck::Job("running", 0), "bound")
            .then(Struck::Asked("closing"))
            .healed(Healer::Sweep, DEBT_S + SWEEP_S)
            .failed("runner_system_failure", 1)
            .pace(Pace::Whole),
    ]
}
