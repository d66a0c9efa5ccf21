//! Pools: Auto Scaling groups of long-lived runner managers, sized by what their runners tell.
//!
//! A run of the scaler loads the group, each member's metrics, the jobs that wait and what the run before remembered, and
//! decides. A member that does not tell counts as busy, and only what has been seen idle is ever retired: unknown is not zero.

mod decide;
mod decision;
pub mod exposition;
mod group;
pub mod leaving;
mod memory;
mod reading;
mod settings;
mod words;

pub use decide::decide;
pub use decision::{Action, Decision, Finding, Grown, Held, Misconfigured, Retired, Summary};
pub use group::{Group, Hook, Member, Phase, REBALANCE};
pub use memory::{MemberMemory, Memory, Need, PoolRow, pool_pk, remember};
pub use reading::{Pending, Process, Reading, Scrape};
pub use settings::{BadSetting, DRAIN_LIMIT, HEARTBEATS, Settings};
