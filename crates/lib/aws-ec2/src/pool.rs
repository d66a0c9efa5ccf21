//! Pools: the port for one Auto Scaling group and its members.

mod adapter;
pub mod fake;
mod shown;

use std::collections::BTreeMap;
use std::future::Future;
use std::net::IpAddr;

pub use adapter::AutoScaling;
pub use fake::FakePool;
use runnerless_aws::AwsError;
use runnerless_core::pool::Group;
use runnerless_core::time::Timestamp;

/// What EC2 shows of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Its private address; `None` before it has one, and after it is gone.
    pub address: Option<IpAddr>,
    /// When it was launched.
    pub launched_at: Timestamp,
}

/// What became of the wish that a member goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// It goes: its hook lets it finish first.
    Asked,
    /// It is no member of a group any more.
    Gone,
}

/// Sizes an Auto Scaling group.
///
/// What it shows follows what it did by seconds. A failed call may have been carried out; who calls looks at the group
/// again before it decides anything else.
pub trait Pool: Sync {
    /// The group with all its members, and the hook of those that terminate. `None`: there is no such group. When EC2
    /// launched the members is not told here, see [`Pool::machines`].
    fn group(&self, name: &str) -> impl Future<Output = Result<Option<Group>, AwsError>> + Send;

    /// What EC2 shows of the group's instances, by their ids. One that is missing was launched or ended a moment ago.
    fn machines(&self, group: &str) -> impl Future<Output = Result<BTreeMap<String, Machine>, AwsError>> + Send;

    /// Sets the desired capacity. Auto Scaling refuses what is not between the group's minimum and maximum.
    fn set_desired(&self, group: &str, desired: u32) -> impl Future<Output = Result<(), AwsError>> + Send;

    /// Has one member go, and with `lower_desired` none come in its place. It is asked once: a second wish for the same
    /// member might lower the desired capacity again.
    fn retire(&self, instance: &str, lower_desired: bool) -> impl Future<Output = Result<Left, AwsError>> + Send;

    /// Protects members from being chosen when the group shrinks.
    fn protect(&self, group: &str, instances: &[String]) -> impl Future<Output = Result<(), AwsError>> + Send;

    /// Suspends one of the group's processes.
    fn suspend(&self, group: &str, process: &str) -> impl Future<Output = Result<(), AwsError>> + Send;
}
