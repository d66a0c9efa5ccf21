//! Sweeps with a GitLab that takes reports of lost jobs.

#![allow(dead_code, unreachable_pub, reason = "each test file uses what it needs of this module")]

use runnerless_aws::fake::FakeParameters;
use runnerless_core::time::Timestamp;
use runnerless_lost::LostJobs;
use runnerless_lost::fake::FakeReporter;
use runnerless_reconciler::{Error, Listing, Report, Sweep};
use runnerless_router::Rules;

use crate::support::World;

/// Where the lanes' tokens are.
pub const PATH: &str = "/r";

/// Where GitLab sends the hooks.
pub const HOOK: &str = "https://abc.example.com/webhook";

/// What a sweep needs beside its world.
#[derive(Debug)]
pub struct Lost {
    pub parameters: FakeParameters,
    pub gitlab: FakeReporter,
    pub listing: Listing,
}

impl Default for Lost {
    fn default() -> Self {
        let listing = Listing { calls: 60, webhook_url: HOOK.to_owned() };
        Self { parameters: FakeParameters::default(), gitlab: FakeReporter::default(), listing }
    }
}

impl Lost {
    pub async fn sweep(&self, world: &World, rules: &Rules, dry_run: bool, now: Timestamp) -> Result<Report, Error> {
        let (parameters, reporter) = (&self.parameters, &self.gitlab);
        let lost = LostJobs { ledger: &world.ledger, parameters, parameter_path: PATH, reporter };
        world.clock.set(now);
        Sweep { ports: world, lost, rules, listing: &self.listing }.run(dry_run, Timestamp(i64::MAX)).await
    }
}

/// A sweep that has nothing to report.
pub async fn sweep_once(world: &World, rules: &Rules, dry_run: bool, now: Timestamp) -> Result<Report, Error> {
    Lost::default().sweep(world, rules, dry_run, now).await
}
