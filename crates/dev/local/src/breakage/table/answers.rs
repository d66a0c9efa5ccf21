//! A 201 whose answer is lost: GitLab handed a job out, and nobody got it.

use super::{SWEEP_S, UNACCOUNTED};
use crate::breakage::case::{Case, Fault, Struck};
use crate::breakage::expect::Healer;
use crate::breakage::kind::Kind;

pub(super) fn cases() -> Vec<Case> {
    let lost = || {
        Case::new("gitlab", Kind::AnswerLost, "at-the-201").with(Fault::GitLab("POST", "jobs/request", "lose_answer"))
    };
    vec![
        // Offered again when GitLab's time for an acceptance is over (shortened here), to a runner that still asks.
        lost().struck(Struck::Job("success", 0), "ended"),
        // It runs in GitLab's eyes from the 201 on, and nobody can give it back.
        lost()
            .one_phase()
            .struck(Struck::Row("foreign", 1), "foreign")
            .healed(Healer::Sweep, SWEEP_S)
            .left_running()
            .counts(UNACCOUNTED),
    ]
}
