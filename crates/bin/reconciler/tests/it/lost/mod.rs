//! Sweeps with a GitLab that takes reports of lost jobs.

#![allow(dead_code, unreachable_pub, reason = "each test file uses what it needs of this module")]

use runnerless_aws::fake::FakeParameters;
use runnerless_aws_ec2::FakeFleet;
use runnerless_core::moves::Ours;
use runnerless_core::official::Official;
use runnerless_core::time::{Millis, Timestamp};
use runnerless_gitlab::protocol::fake::FakeRunners;
use runnerless_instances::Ec2;
use runnerless_lost::LostJobs;
use runnerless_lost::fake::FakeReporter;
use runnerless_reconciler::{Error, Lanes, Listing, Report, Sweep};
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
    pub runners: FakeRunners,
    /// Time between two sentinels; none are sent by default.
    pub sentinel_every: Millis,
    pub listing: Listing,
    pub fleet: FakeFleet,
    /// What instances of this stack look like; it launches none by default.
    pub ours: Option<Ours>,
    /// As which executor the official runner serves instances; ours does by default.
    pub official: Option<Official>,
}

impl Default for Lost {
    fn default() -> Self {
        let listing = Listing { calls: 60, webhook_url: HOOK.to_owned() };
        Self {
            parameters: FakeParameters::default(),
            gitlab: FakeReporter::default(),
            runners: FakeRunners::default(),
            sentinel_every: Millis(0),
            listing,
            fleet: FakeFleet::default(),
            ours: None,
            official: None,
        }
    }
}

impl Lost {
    /// A sweep, without what it did for lanes: that has tests of its own.
    pub async fn sweep(&self, world: &World, rules: &Rules, dry_run: bool, now: Timestamp) -> Result<Report, Error> {
        self.sweep_all(world, rules, dry_run, now).await.map(without_lanes)
    }

    /// A sweep, whole.
    pub async fn sweep_all(
        &self,
        world: &World,
        rules: &Rules,
        dry_run: bool,
        now: Timestamp,
    ) -> Result<Report, Error> {
        world.clock.set(now);
        self.run(world, rules, dry_run, Timestamp(i64::MAX)).await
    }

    /// A sweep whose invocation ends then.
    pub async fn sweep_until(&self, world: &World, rules: &Rules, ends_at: Timestamp) -> Result<Report, Error> {
        self.run(world, rules, false, ends_at).await.map(without_lanes)
    }

    async fn run(&self, world: &World, rules: &Rules, dry_run: bool, ends_at: Timestamp) -> Result<Report, Error> {
        let (parameters, reporter) = (&self.parameters, &self.gitlab);
        let lost = LostJobs { ledger: &world.ledger, parameters, parameter_path: PATH, reporter };
        let lanes = Lanes { runners: &self.runners, sentinel_every: self.sentinel_every };
        let ec2 = Ec2 { fleet: &self.fleet, runners: &self.runners, ours: self.ours.as_ref() };
        Sweep { ports: world, lost, lanes, ec2, official: self.official.as_ref(), rules, listing: &self.listing }
            .run(dry_run, ends_at)
            .await
    }
}

fn without_lanes(mut report: Report) -> Report {
    let of_lanes = |row: &str| row.starts_with("lane#");
    for item in report.items.iter().filter(|item| of_lanes(&item.row)) {
        report.counts.retain(|name, _| !name.starts_with(&format!("{}.", item.action)));
    }
    report.items.retain(|item| !of_lanes(&item.row));
    report
}

/// A sweep that has nothing to report.
pub async fn sweep_once(world: &World, rules: &Rules, dry_run: bool, now: Timestamp) -> Result<Report, Error> {
    Lost::default().sweep(world, rules, dry_run, now).await
}
