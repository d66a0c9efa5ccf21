//! The port: a narrow trait, no type of the SDK in a signature.

use std::future::Future;

use runnerless_aws::AwsError;
use runnerless_core::fleet::{FleetOutcome, FleetRequest, Instance};
use runnerless_core::id::LaunchId;

/// What became of the wish that an instance ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Terminated {
    /// EC2 ends it, or has ended it.
    Asked,
    /// EC2 knows no instance of this id, or no longer.
    Gone,
}

/// Launches and ends instances.
///
/// What EC2 shows follows what it did by seconds: an instance that was launched a moment ago may be missing from every
/// answer, and nobody may conclude from it that it does not exist.
pub trait Fleet: Sync {
    /// Sends a frozen request for one instance. Sending it again gives the same instance.
    ///
    /// A refusal of the whole call whose code is known is a fault in the answer: nothing was launched. An
    /// [`AwsError`] leaves open whether an instance exists.
    fn launch(&self, request: &FleetRequest) -> impl Future<Output = Result<FleetOutcome, AwsError>> + Send;

    /// The instances that carry a launch's tag, those that are terminated too.
    fn of_launch(&self, launch: &LaunchId) -> impl Future<Output = Result<Vec<Instance>, AwsError>> + Send;

    /// One instance; `None` for one that EC2 does not know.
    fn describe(&self, instance: &str) -> impl Future<Output = Result<Option<Instance>, AwsError>> + Send;

    /// The instances that carry a stack's tag and are not terminated, all pages.
    fn list(&self, stack: &str) -> impl Future<Output = Result<Vec<Instance>, AwsError>> + Send;

    /// Ends an instance, whatever it does.
    fn terminate(&self, instance: &str) -> impl Future<Output = Result<Terminated, AwsError>> + Send;

    /// Switches an instance's metadata service off, so that nothing on it gets credentials of its role any more.
    fn hide_metadata(&self, instance: &str) -> impl Future<Output = Result<(), AwsError>> + Send;
}
