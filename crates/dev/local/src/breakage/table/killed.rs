//! The executor killed, at each step of a job.

use super::SWEEP_S;
use crate::breakage::case::{Case, Fault, Healer, Kind, Struck};

/// The first launch in vain is repeated after this.
const FRUITLESS_S: u64 = 10;

pub(super) fn cases() -> Vec<Case> {
    let killed = |place: &str| Case::new("executor", Kind::Killed, place).fresh(&["Executor"]);
    let before_the_bind = || {
        killed("before-the-bind")
            .times("Executor", "dynamodb:TransactWriteItems", 1)
            .struck(Struck::Launch("polling", 1), "charged")
    };
    vec![
        killed("before-the-201")
            .with(Fault::GitLab("POST", "jobs/request", "hang"))
            .struck(Struck::Asked("polling"), "charged")
            .healed(Healer::Sweep, FRUITLESS_S + SWEEP_S)
            .attempts(2),
        before_the_bind().healed(Healer::Sweep, FRUITLESS_S + SWEEP_S).attempts(2),
    ]
}
