//! The moves: every way in which a job row or a launch row changes.
//!
//! GitLab cannot hand out a named job, so a launch that was started for job A may come back with job B. The moves keep
//! the books straight whatever comes back: [`record`] what GitLab said, [`found`] for what only its listing said, [`charge`] a launch to a waiting job,
//! [`enrolment`] of a runner of its own, [`begin`] asking, [`bind`] what the runner really got, [`give_back`] what it may not keep, [`close`] and
//! [`conclude`] what is not needed, [`settle`] what has ended, and [`lost`] for what went silent, of which GitLab is told ([`debt`]). [`due_job`] and
//! [`due_launch`] are the sweep's view of a row whose time has come, [`lane_duty`] that of a lane, [`instance_duty`] that of an instance, for which a [`sentinel`]
//! asks where a lost hook would be found by nobody else.
//!
//! `tests/explore.rs` drives these very functions through every interleaving of two jobs and three launches.

mod assign;
mod begin;
mod bind;
mod charge;
mod check_in;
mod close;
mod debt;
mod drain;
mod fleet;
mod found;
mod give_back;
mod instances;
mod lane;
mod lane_runner;
mod lost;
mod overdue;
mod own_runner;
mod record;
mod sentinel;
mod settle;

pub use assign::{assign, is_free};
pub use begin::{BeginRefused, RenewRefused, alive, begin, renew};
pub use bind::{BindRefused, BindRows, Got, bind};
pub use charge::{NotCharged, Start, charge, hold, may_charge, not_ours, started};
pub use check_in::{CheckInRefused, check_in};
pub use close::{CloseRefused, End, Evidence, close, conclude, leaves_its_job};
pub use debt::{Debt, debt, paid, silence, unpaid};
pub use drain::drained_launch;
pub use fleet::{Answered, Provision, Withdrawal, answered, asks_for_owner, looked_up, provision};
pub use found::found;
pub use give_back::{GiveBackRows, give_back};
pub use instances::{Host, InstanceDuty, Known, Ours, brought_by, cleared, host, instance_duty, launch_of_instance};
pub use lane::{
    Introduction, LaneDuty, LaneView, forgotten, introduced, lane_duty, look_again, registers, troubled, unverified,
    verified,
};
pub use lane_runner::{LaneMade, LaneMaking, lane_made, lane_making};
pub use lost::{Loss, lost};
pub use overdue::{DueJob, DueLaunch, due_job, due_launch};
pub use own_runner::{
    Enrolment, GivenUp, LeftRunner, Means, NoRunner, enrolled, enrolment, gives_up_clearing, left_runner, no_runner,
    officially,
};
pub use record::{Announce, Recorded, concerns_rows, record};
pub use sentinel::{hold_sentinel, sentinel};
pub use settle::{Settlement, settle};

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod window;
